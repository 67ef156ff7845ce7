# The sandbox of what a model wrote: runs it, then calls its function as often as the tests ask.
import resource

PROCESSES = 4  # the sandbox's own among them: together they take four times what one may

# Where it counts all processes of this account (before Linux 5.14), no other can be made at all.
resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
given = json.load(sys.stdin)
channel = Channel()
names = {"__name__": "tested"}
try:
    exec(compile(given["program"], "program", "exec"), names)
    function = names[given["entry_point"]]
except Exception as error:
    channel.send({"error": type(error).__name__, "text": str(error)[:200]})
    os._exit(1)
channel.send({"value": None})
while (call := channel.receive()) is not None:
    try:
        reply = {"value": encode(function(*decode(call["args"]), **decode(call["kwargs"])))}
    except Exception as error:
        reply = {"error": type(error).__name__, "text": str(error)[:200]}
    channel.send(reply)
