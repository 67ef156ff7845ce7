# The sandbox of the tests: they call a function that another sandbox has, and what this one prints
# is the verdict, which tested code can neither read nor write.
import builtins

given = json.load(sys.stdin)
verdict = os.fdopen(os.dup(1), "w")
nowhere = os.open(os.devnull, os.O_RDWR)
for number in (0, 1, 2):
    os.dup2(nowhere, number)
channel = Channel()


def tell(passed, why=""):
    verdict.write(json.dumps({"passed": passed, "why": why[:300]}))
    verdict.flush()
    os._exit(0)


def answer():
    reply = channel.receive()
    if not isinstance(reply, dict):
        tell(False, "it ended before its tests")
    if "error" in reply:
        kind = getattr(builtins, str(reply["error"]), None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = Exception
        try:
            error = kind(reply.get("text"))
        except Exception:
            error = Exception(reply.get("text"))
        error.told = f"{reply['error']}: {reply.get('text')}"
        raise error
    try:
        return decode(reply.get("value"))
    except Exception:
        return Other("?", False)


def unknown(value):
    tell(None, f"its tests hand over a {type(value).__name__}, which is no plain data")


def candidate(*args, **kwargs):
    try:
        channel.send({"args": encode(args), "kwargs": encode(kwargs)})
    except OSError:
        tell(False, "it ended before its tests")
    return answer()


names = {"__name__": "tests"}
try:
    try:
        exec(compile(given["prompt"], "prompt", "exec"), names)
    except Exception:  # no whole function by itself; what the tests need of it is lost
        pass
    answer()
    names[given["entry_point"]] = candidate
    exec(compile(given["test"], "tests", "exec"), names)
    names["check"](candidate)
except BaseException as error:
    told = getattr(error, "told", None) or f"{type(error).__name__}: {error}"
    tell(False, told.rstrip(": "))
tell(True)
