"""`validate --metrics mmlu`: prompts and figures made again in Python, log-probabilities by mlx-lm."""

import csv
import json
import math
import pathlib
import signal
import subprocess
import time

import numpy as np
import pajamas
import peers
import pytest
from effort import THOROUGH

DATA = pathlib.Path(__file__).parent / "data/mmlu"
WHOLE = pathlib.Path("/work/shared/eval/mmlu")
SUBJECTS = ("abstract_algebra", "college_chemistry", "management")
LETTERS = "ABCD"


def rows(folder, part, name):
    with open(folder / part / f"{name}_{part}.csv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def example(row, answer):
    """As the paper's published code formats it."""
    text = row[0]
    for letter, choice in zip(LETTERS, row[1:5]):
        text += f"\n{letter}. {choice}"
    text += "\nAnswer:"
    return text + (f" {LETTERS[int(row[5])]}\n\n" if answer else "")


def prompt(folder, name, index, shots=5):
    subject = name.replace("_", " ")
    text = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    text += "".join(example(row, True) for row in rows(folder, "dev", name)[:shots])
    return text + example(rows(folder, "test", name)[index], False)


def letters_by_mlx(model, tokenizer, text):
    """ln p of " A" to " D" behind a text, each letter's tokens in a pass of its own."""
    whole = [tokenizer.encode(f"{text} {letter}", add_special_tokens=False).ids for letter in LETTERS]
    given = tokenizer.encode(text, add_special_tokens=False).ids
    out = []
    cache = {}
    for ids in whole:
        assert ids[:len(given)] == given
        if len(ids) == len(given) + 1 and cache:
            log_p = cache["last"]
        else:
            log_p = cache["last"] = peers.log_softmax(peers.mlx_logits(model, [ids]))
        out.append(sum(log_p[len(given) - 1 + k, token] for k, token in enumerate(ids[len(given):])))
    return out


def mmlu(model, *flags, check=True, **options):
    return pajamas.run("validate", model, "--metrics", "mmlu", "--data", DATA, "--json", *flags,
                       check=check, timeout=600, **options)


def saved(path):
    return json.loads(path.read_text())["mmlu"]["questions"]


@pytest.fixture(scope="module")
def run(scratch):
    """(what --json says, what --save keeps) of two questions of each subject."""
    path = scratch / "run.json"
    done = mmlu(pajamas.TINY, "--limit", 2, "--save", path)
    return json.loads(done.stdout)["mmlu"], saved(path), done.stderr


@pytest.mark.parametrize("shots", [5, 0])
def test_the_letters_are_mlx_lms(scratch, tokenizer, shots):
    folder, flags, limit = DATA, ["--subjects", ",".join(SUBJECTS)], 1
    if THOROUGH and shots == 5 and WHOLE.exists():  # 300 questions
        folder, flags, limit = WHOLE, [], 6
    path = scratch / f"letters-{shots}.json"
    pajamas.run("validate", pajamas.TINY, "--metrics", "mmlu", "--data", folder, "--limit", limit,
                "--shots", shots, "--save", path, *flags, timeout=3000)
    model = peers.mlx_model(pajamas.TINY)
    for question in saved(path)[:300]:
        text = prompt(folder, question["subject"], question["index"], shots)
        assert question["logprobs"] == pytest.approx(
            letters_by_mlx(model, tokenizer, text), abs=1e-4), question


def test_figures_are_those_of_the_questions(run):
    figures, questions, said = run
    assert [(q["subject"], q["index"]) for q in questions] == [
        (name, i) for name in SUBJECTS for i in range(2)]
    for q in questions:
        assert q["choice"] == int(np.argmax(q["logprobs"]))
        assert q["answer"] == int(rows(DATA, "test", q["subject"])[q["index"]][5])
    right = np.array([q["choice"] == q["answer"] for q in questions])
    assert figures["questions"] == len(questions)
    assert figures["accuracy"] == right.mean()
    assert figures["stderr"] == pytest.approx(right.std(ddof=1) / math.sqrt(len(right)))
    low, high = figures["interval"]
    for edge in (low, high):  # Wilson: where the mean is 1.96 standard errors off
        if 1e-9 < edge < 1 - 1e-9:
            assert abs(right.mean() - edge) == pytest.approx(
                1.959964 * math.sqrt(edge * (1 - edge) / len(right)), rel=1e-5)
    for i, name in enumerate(SUBJECTS):
        assert figures["subjects"][name]["accuracy"] == right[2 * i:2 * i + 2].mean()
    for name, part in (("stem", right[:4]), ("other", right[4:])):
        assert figures["categories"][name]["questions"] == len(part)
        assert figures["categories"][name]["accuracy"] == part.mean()
    assert "college_chemistry (3)" in said.replace("\\n", " ")


def test_every_form_of_the_data_gives_the_same(run, scratch):
    original, lines = scratch / "original", scratch / "mmlu.jsonl"
    with open(lines, "w") as out:
        for part in ("dev", "test"):
            (original / part).mkdir(parents=True)
            for name in SUBJECTS:
                with open(original / part / f"{name}_{part}.csv", "w", newline="") as file:
                    writer = csv.writer(file)  # no header, a letter
                    for row in rows(DATA, part, name):
                        writer.writerow([*row[:5], LETTERS[int(row[5])]])
                        out.write(json.dumps({"subject": name, "split": part, "question": row[0],
                                              "choices": row[1:5], "answer": int(row[5])}) + "\n")
    for data in (original, lines):
        path = scratch / f"{data.name}.saved"
        pajamas.run("validate", pajamas.TINY, "--metrics", "mmlu", "--data", data, "--limit", 2,
                    "--save", path)
        assert saved(path) == run[1], data


def test_a_chat_is_asked_through_its_template(scratch, tokenizer):
    path = scratch / "chat.json"
    mmlu(pajamas.TINY, "--apply-chat-template", "--subjects", "management", "--limit", 1, "--save",
         path)
    import jinja2
    config = json.loads((pajamas.TINY / "tokenizer_config.json").read_text())
    template = config.get("chat_template") or (pajamas.TINY / "chat_template.jinja").read_text()
    text = prompt(DATA, "management", 0).removesuffix("\nAnswer:")
    rendered = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(template).render(
        messages=[{"role": "user", "content": text}], add_generation_prompt=True)
    want = letters_by_mlx(peers.mlx_model(pajamas.TINY), tokenizer, rendered + "Answer:")
    assert saved(path)[0]["logprobs"] == pytest.approx(want, abs=1e-4)


def test_the_paired_difference_is_mcnemars(models, scratch):
    path = scratch / "paired.json"
    figures = json.loads(mmlu(models.mlx("3bit"), "--reference", pajamas.TINY, "--save", path,
                              "--shots", 0).stdout)["mmlu"]
    ours, theirs = ([np.argmax(q[key]) == q["answer"] for q in saved(path)]
                    for key in ("logprobs", "reference_logprobs"))
    b = sum(x and not y for x, y in zip(ours, theirs))
    c = sum(y and not x for x, y in zip(ours, theirs))
    n = len(ours)
    assert (figures["only_model_right"], figures["only_reference_right"]) == (b, c)
    assert figures["reference_accuracy"] == np.mean(theirs)
    assert figures["difference"] == pytest.approx((b - c) / n)
    difference = np.array(ours, float) - np.array(theirs, float)
    assert figures["difference_stderr"] == pytest.approx(difference.std() / math.sqrt(n), abs=1e-9)
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert figures["mcnemar_p"] == pytest.approx(min(1, 2 * tail))


def test_a_run_that_is_stopped_goes_on(run, scratch):
    path = scratch / "stopped.json"
    partial = pathlib.Path(f"{path}.partial")
    command = [str(pajamas.BINARY), "validate", pajamas.TINY, "--metrics", "mmlu", "--data", DATA,
               "--limit", "2", "--threads", "1", "--save", path]
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 2):
        assert process.poll() is None
        time.sleep(.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = partial.read_bytes().splitlines()[1:-1]
    again = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and "answers are there already" in again.stderr
    assert saved(path) == run[1] and not partial.exists()
    assert len(kept) >= 1


@pytest.mark.parametrize("content, says", [
    ("", "no questions"), ("question,A,B,C,D,answer\n", "no questions"),
    ("what,1,2,3,4\n", "fields"), ("what,1,2,3,4,E\n", "E"), ('"what,1,2,3,4,A\n', "quote"),
])
def test_bad_tables_are_named(scratch, content, says):
    folder = scratch / "bad"
    (folder / "test").mkdir(parents=True, exist_ok=True)
    (folder / "test/x_test.csv").write_text(content)
    done = pajamas.run("validate", pajamas.TINY, "--metrics", "mmlu", "--data", folder, check=False)
    assert done.returncode == 4 and done.stderr.count("error:") == 1
    assert "x_test.csv" in done.stderr and says in done.stderr


def test_bad_options_are_refused(run, scratch):
    def refused(status, *flags):
        done = mmlu(pajamas.TINY, *flags, check=False)
        assert done.returncode == status, (flags, done.stderr)
        assert done.stdout == ""
        return done.stderr

    assert "management" in refused(2, "--subjects", "managment")
    refused(2, "--limit", -1)
    refused(2, "--shots", 6)
    done = pajamas.run("validate", pajamas.TINY, "--metrics", "mmlu", "--data", scratch / "none",
                       check=False)
    assert done.returncode == 3 and "none" in done.stderr
    refused(6, "--save", scratch / "run.json")
    done = pajamas.run("validate", pajamas.TINY, "--limit", 3, check=False)
    assert done.returncode == 2 and "mmlu" in done.stderr
    done = mmlu(pajamas.TINY, "--limit", 1, "--gate", "mmlu>99.9%", check=False)
    assert done.returncode == 12
