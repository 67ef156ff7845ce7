"""--report: pages as a browser shows them, each in both themes, on a phone and on a desk; their figures
made again in Python from what the command printed."""

import gzip
import itertools
import json
import math
import pathlib
import shutil
import signal
import subprocess

import pajamas
import pytest
from browser import CHROMIUM, Browser

SPEED = ("--context-lengths", "0,16,48", "--prompt-tokens", 8, "--generation-tokens", 4, "--repeats", 2)
TEXT = ("--ctx", 64, "--chunks", 6)
RIGHT = (2, 1, 0)  # of two programs for each of three problems
MMLU = pathlib.Path(__file__).parent / "data/mmlu"
VIEWS = [(360, "dark"), (360, "light"), (1440, "light"), (1440, "dark")]
# A path that ends a script, an attribute and a tag, and begins others.
NASTY = pathlib.Path("a<") / "script><script>console.error(1)<" / "script>'\"&<img src=x onerror=console.error(2)>.gguf"

# What is drawn: for each figure the marks that lie in its plot, and what colour is under their middles.
DRAWN = """
[...document.querySelectorAll("canvas")].map(canvas => {
  const chart = Chart.getChart(canvas), ratio = chart.currentDevicePixelRatio, copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const ctx = copy.getContext("2d", {willReadFrequently: true});
  ctx.drawImage(canvas, 0, 0);
  const found = {marks: 0, inked: 0, tints: new Set()};
  const area = chart.chartArea, room = 2;
  const shown = (colour) => { const c = document.createElement("canvas").getContext("2d"); c.fillStyle = colour; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data].join(); };
  const inks = chart.data.datasets.map(set => shown(set.backgroundColor));
  chart.data.datasets.forEach((set, i) => chart.getDatasetMeta(i).data.forEach(mark => {
    if (mark.skip || !isFinite(mark.x) || !isFinite(mark.y)) return;
    const at = mark.getCenterPoint ? mark.getCenterPoint() : mark;
    if (at.x < area.left - room || at.x > area.right + room || at.y < area.top - room || at.y > area.bottom + room) return;
    ++found.marks;
    // What lies over a middle may have another colour, a few pixels beside it has its own.
    const near = ctx.getImageData(Math.round(at.x * ratio) - 3, Math.round(at.y * ratio) - 3, 7, 7).data;
    const pixels = new Set([...Array(49).keys()].map(i => [...near.slice(4 * i, 4 * i + 4)].join()));
    if ([...pixels].some(pixel => !pixel.endsWith(",0"))) ++found.inked;
    inks.forEach((ink, j) => { if (pixels.has(ink)) found.tints.add(j); });
  }));
  return {marks: found.marks, inked: found.inked, tints: found.tints.size, label: canvas.getAttribute("aria-label"),
          width: canvas.clientWidth, height: canvas.clientHeight};
})
"""
# Whatever has text of its own: its colour, and what is behind it.
COLOURS = """
(() => {
  const ground = (element) => { for (; element; element = element.parentElement) { const c = getComputedStyle(element).backgroundColor; if (c !== "rgba(0, 0, 0, 0)") return c; } };
  const pairs = new Set();
  for (const element of document.body.querySelectorAll("*")) {
    if ([...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && !["SCRIPT", "NOSCRIPT"].includes(element.tagName)) {
      pairs.add(JSON.stringify([getComputedStyle(element).color, ground(element)]));
    }
  }
  return [...pairs].map(JSON.parse);
})()
"""
SERIES = """
(() => {
  const one = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const plain = (colour) => { const c = document.createElement("canvas").getContext("2d"); c.fillStyle = colour; c.fillRect(0, 0, 1, 1); const [r, g, b] = c.getImageData(0, 0, 1, 1).data; return `rgb(${r}, ${g}, ${b})`; };
  return [...one("--series").split(","), one("--ink")].map(colour => [plain(colour.trim()), getComputedStyle(document.body).backgroundColor]);
})()
"""

TIP = "Chart.getChart('figure-0').tooltip.opacity ? Chart.getChart('figure-0').tooltip.body.map(part => part.lines[0]) : []"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt install chromium)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def compare_page(folder, subject, page):
    paths = [subject.original, subject.models.gguf("Q4_K_M"), subject.models.mlx("4bit")]
    flags = [flag for number, path in enumerate(paths, 1) for flag in (f"--model{number}", path)]
    return pajamas.run_json("compare", *flags, *SPEED, *TEXT, "--json", "--report", page)


def benchmark_page(folder, subject, page):
    nasty = folder / NASTY
    nasty.parent.mkdir(parents=True)
    shutil.copy(subject.models.gguf("Q4_K_M"), nasty)
    return pajamas.run_json("benchmark", nasty, *SPEED, "--json", "--report", page)


def validate_page(folder, subject, page):
    return pajamas.run_json("validate", subject.models.gguf("Q2_K"), "--reference", subject.original, "--metrics",
                            "perplexity,kl,mmlu", "--per-layer", *TEXT, "--data", MMLU, "--shots", 1,
                            "--json", "--report", page)


def quantize_page(folder, subject, page):
    return pajamas.run_json("quantize", subject.original, "--format", "gguf,mlx", "--method", "Q4_K_M:4bit",
                            "--output", folder / "out", "--json", "--report", page)


def programs_page(folder, subject, page):
    """Of given programs, two for each of three problems: right and wrong ones. It takes no model, and ours need no sandbox."""
    with gzip.open(pajamas.ROOT / "models/eval/HumanEval.jsonl.gz") as file:
        problems = [json.loads(line) for line in itertools.islice(file, len(RIGHT))]
    lines = [{"task_id": problem["task_id"], "completion": problem["canonical_solution"] if sample < right else "    return\n"}
             for problem, right in zip(problems, RIGHT) for sample in range(2)]
    (folder / "programs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return pajamas.run_json("validate", "--metrics", "humaneval", "--completions", folder / "programs.jsonl", "--unsafe-execution", "--json",
                            "--report", page)


def shape_page(folder, subject, page):
    return pajamas.run_json("benchmark", "--shape", subject.original / "config.json", "--method", "Q4_K_M", *SPEED, "--json",
                            "--report", page)


# By the command and what of it.
MAKERS = {"compare": compare_page, "benchmark": benchmark_page, "benchmark-shape": shape_page, "validate": validate_page,
          "validate-programs": programs_page, "quantize": quantize_page}


@pytest.fixture(scope="module")
def made(qwen3_moe, tmp_path_factory):
    """made("compare"): (what the command printed, its page)."""
    results = {}

    def get(name):
        if name not in results:
            folder = tmp_path_factory.mktemp(name)
            page = folder / f"{name}.html"
            results[name] = MAKERS[name](folder, qwen3_moe, page), page
        return results[name]

    return get


def luminance(colour):
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1:-1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(pair):
    """As WCAG 2.1 defines it."""
    light, dark = sorted(map(luminance, pair), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def check_view(browser, width):
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    figures = browser.evaluate('JSON.parse(document.getElementById("figures").textContent)')
    drawn = browser.evaluate(DRAWN)
    assert len(figures) == len(drawn) == browser.evaluate('document.querySelectorAll("figure table").length') > 0
    for figure, found in zip(figures, drawn):
        points = sum(point["y"] is not None for series in figure["series"] for point in series["points"])
        assert found["marks"] == points > 0, figure["title"]
        # A bar of nothing has no ink.
        nothing = sum(point["y"] == 0 for series in figure["series"] for point in series["points"])
        assert found["inked"] >= points - nothing, figure["title"]
        assert found["tints"] > 0 or points == nothing, figure["title"]
        assert figure["title"] in found["label"]
        assert 200 < found["width"] <= width and found["height"] >= 90
    for pair in browser.evaluate(COLOURS):
        assert contrast(pair) >= 4.5, pair
    for pair in browser.evaluate(SERIES):
        assert contrast(pair) >= 3, pair
    assert browser.errors == []


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "benchmark-shape"])  # it has benchmark's charts
def test_in_the_browser(name, made, browser):
    report, page = made(name)
    command = name.split("-")[0]
    browser.errors.clear()
    width, theme = VIEWS[0]
    browser.show(width, theme=theme)
    browser.open(page)
    grounds = set()
    for width, theme in VIEWS:  # as a page that is open when the phone is turned, or evening comes
        browser.show(width, theme=theme)
        browser.settle()
        check_view(browser, width)
        grounds.add((theme, browser.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert len(grounds) == 2
    assert browser.evaluate("document.title").startswith(command)
    # Every heading, table and chart is named.
    assert browser.evaluate('[...document.querySelectorAll("h1,h2,h3,caption,th[scope=row],summary,a,dt")]'
                            '.every(element => element.textContent.trim())')
    assert browser.evaluate('document.querySelectorAll("table").length') == \
        browser.evaluate('document.querySelectorAll("table > caption").length')
    assert browser.evaluate('document.querySelectorAll("img, iframe, link[rel=stylesheet], script[src]").length') == 0
    data = browser.evaluate('JSON.parse(document.getElementById("data").textContent)')
    assert data["command"] == command and str(page) in data["repeat"]
    assert data["about"]["threads"] > 0 and data["about"]["date"].endswith("Z")
    if name == "quantize":
        for output in data["result"]["outputs"]:
            assert output.pop("tensors")
    assert data["result"] == report


def figures_of(page):
    """{title: figure} of a page, and of each the numbers that its table has."""
    text = page.read_text()

    def embedded(name):
        begin = f'<script type="application/json" id="{name}">'
        at = text.index(begin) + len(begin)
        return json.loads(text[at:text.index("</script", at)])

    return {figure["title"]: figure for figure in embedded("figures")}


def ys(figure, series=0, key="y"):
    return [point.get(key) for point in figure["series"][series]["points"]]


def test_figures_of_compare(made):
    report, page = made("compare")
    figures = figures_of(page)
    models = report["models"]
    quality = figures["Perplexity against file size"]
    for number, model in enumerate(models):
        point, = quality["series"][number]["points"]
        assert (point["x"], point["y"]) == (model["size_bytes"], model["perplexity"])
        if number:
            spread = models[0]["perplexity"] * model["loss_percent_stderr"] / 100
            assert point["high"] - point["y"] == pytest.approx(spread)
            assert model["reference_perplexity"] == pytest.approx(models[0]["perplexity"], rel=1e-9)
    assert quality["level"]["y"] == pytest.approx(models[0]["perplexity"], rel=1e-9)
    divergence = figures["KL divergence against file size"]
    assert [ys(divergence, number) for number in range(3)] == [[]] + [[m["kl_mean"]] for m in models[1:]]
    for title, key in (("Generation by context", "generation_tokens_per_second"),
                       ("Prompt by context", "prompt_tokens_per_second"),
                       ("Time to the first token", "first_token_seconds")):
        assert figures[title]["x"]["names"] == ["0", "16", "48"]
        for number, model in enumerate(models):
            assert ys(figures[title], number) == [row[key] for row in model["results"]]
            if "first" not in key:
                assert ys(figures[title], number, "low") == [row[f"{key}_min"] for row in model["results"]]
    assert ys(figures["File and memory"], 0) == [model["size_bytes"] for model in models]
    assert ys(figures["File and memory"], 1) == [model["memory_bytes"] for model in models]


def test_figures_of_benchmark(made):
    report, page = made("benchmark")
    figures = figures_of(page)
    over_time = figures["Memory over time"]["series"][0]["points"]
    assert [(p["x"], p["y"]) for p in over_time] == \
        [(sample["seconds"], sample["resident_bytes"]) for sample in report["memory_over_time"]]
    assert len(over_time) == 1 + 2 * (2 + 6)  # the warm-up; two fills, and both rates at three contexts
    assert max(p["y"] for p in over_time) <= report["peak_memory_bytes"]
    by_context = figures["Memory by context"]
    assert ys(by_context, 0) == [row["resident_memory_bytes"] for row in report["results"]]
    assert ys(by_context, 1) == [row["kv_cache_bytes"] for row in report["results"]]
    assert ys(figures["Generation by context"]) == [row["generation_tokens_per_second"] for row in report["results"]]


def test_figures_of_validate(made):
    report, page = made("validate")
    figures = figures_of(page)
    bands = report["positions"]
    assert ys(figures["KL divergence by position"]) == [band["kl_mean"] for band in bands]
    assert figures["KL divergence by position"]["x"]["names"] == [f"{b['first']}–{b['last']}" for b in bands]
    weights = [band["last"] - band["first"] + 1 for band in bands]
    mean = sum(w * y for w, y in zip(weights, ys(figures["KL divergence by position"]))) / sum(weights)
    assert mean == pytest.approx(report["kl_mean"], rel=1e-9)
    logs = sum(w * math.log(y) for w, y in zip(weights, ys(figures["Perplexity by position"]))) / sum(weights)
    assert math.exp(logs) == pytest.approx(report["perplexity"], rel=1e-9)
    assert ys(figures["KL divergence by percentile"]) == list(report["kl_percentiles"].values())
    assert ys(figures["Error by layer"]) == [layer["error"] for layer in report["layers"]]
    assert ys(figures["Agreement of the routers"]) == [layer["same_experts"] for layer in report["layers"]]
    mmlu = report["mmlu"]
    categories = [mmlu, *mmlu["categories"].values()]
    assert ys(figures["MMLU by category"]) == [group["accuracy"] for group in categories]
    assert ys(figures["MMLU by category"], 0, "low") == [group["interval"][0] for group in categories]
    assert ys(figures["MMLU by category"], 1) == [group["reference_accuracy"] for group in categories]
    assert ys(figures["MMLU by subject"]) == [group["accuracy"] for group in mmlu["subjects"].values()]


def test_figures_of_programs(made):
    report, page = made("validate-programs")
    figure = figures_of(page)["HumanEval, pass@k"]
    assert figure["x"]["names"] == ["pass@1", "pass@2"]
    assert ys(figure) == list(report["humaneval"]["pass_at_k"].values())
    assert ys(figure) == pytest.approx([sum(RIGHT) / 2 / 3, sum(right > 0 for right in RIGHT) / 3])


def test_figures_of_a_shape(made):
    """Of a model that no file holds, as of one that does."""
    report, page = made("benchmark-shape")
    figures = figures_of(page)
    for title, key in (("Generation by context", "generation_tokens_per_second"),
                       ("Prompt by context", "prompt_tokens_per_second"), ("Time to the first token", "first_token_seconds"),
                       ("Memory by context", "resident_memory_bytes")):
        assert figures[title]["x"]["names"] == ["0", "16", "48"]
        assert ys(figures[title]) == [row[key] for row in report["results"]]
    assert "random weights" in report["model"] and "random weights" in page.read_text()


def test_figures_of_quantize(made, qwen3_moe):
    report, page = made("quantize")
    figures = figures_of(page)
    assert ys(figures["Sizes"]) == [output["file_bytes"] for output in report["outputs"]]
    planned = pajamas.plan(qwen3_moe.original, "gguf,mlx", "Q4_K_M:4bit")
    for output in planned["outputs"]:
        name = f"{output['format']} {output['method']}"
        types = figures[f"Types of {name}"]
        on_map = {(types["x"]["names"][int(p["x"])], types["y"]["names"][int(p["y"])], series["name"])
                  for series in types["series"] for p in series["points"]}
        expected, totals = set(), {}
        for tensor in output["tensors"]:
            # By the names of the formats, which say layer and purpose too.
            layer = next((part for part in tensor["name"].split(".") if part.isdigit()), "–")
            assert (layer == "–") == (tensor["layer"] is None)
            assert output["format"] != "gguf" or layer == "–" or tensor["name"].split(".")[2].split("_")[0] == \
                tensor["role"].replace("router", "ffn").replace("expert", "ffn").split("_")[0]
            expected.add((layer, tensor["role"], tensor["type"]))
            totals[tensor["type"]] = totals.get(tensor["type"], 0) + tensor["bytes"]
        assert on_map == expected
        sizes = figures[f"Bytes of {name}"]
        assert dict(zip(sizes["x"]["names"], ys(sizes))) == totals
        assert sum(totals.values()) == output["tensor_bytes"]


def test_keyboard_and_saving(made, browser, tmp_path):
    report, page = made("compare")
    browser.show(1440)
    browser.open(page)
    browser.errors.clear()
    browser.evaluate('document.querySelector("canvas").focus()')
    said = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        browser.press(key)
        said.append(browser.evaluate('document.querySelector("output").textContent'))
    assert [text.split()[0] for text in said] == ["1", "2", "3", "2"] and said[1] == said[3]
    assert f"{report['models'][1]['perplexity']:.4g}" in said[1]
    assert browser.evaluate(TIP) == [said[-1]]
    for number in range(browser.evaluate('document.querySelectorAll("canvas").length')):  # and of the mouse
        x, y = browser.evaluate(f"""(() => {{
          const canvas = document.getElementById("figure-{number}"), chart = Chart.getChart(canvas);
          canvas.scrollIntoView({{block: "center"}});
          const mark = chart.getDatasetMeta(chart.data.datasets.findIndex(set => set.data.some(Boolean))).data.find(one => !one.skip);
          const at = mark.getCenterPoint(), box = canvas.getBoundingClientRect();
          return [box.x + at.x, box.y + at.y];
        }})()""")
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        browser.settle()
        assert browser.evaluate(TIP.replace("figure-0", f"figure-{number}"))[0].count(": ") == 1
    browser.evaluate('document.querySelector("canvas").focus()')
    browser.press("Tab")
    assert browser.evaluate("document.activeElement.tagName") != "CANVAS"
    browser.download_to(tmp_path)
    browser.evaluate('document.getElementById("save").click()')
    saved = browser.downloaded(tmp_path / "compare.json")
    assert json.loads(saved.read_text())["result"] == report
    assert browser.errors == []


def test_without_javascript(made, browser):
    _, page = made("compare")
    browser.scripts(False)
    try:
        browser.show(360)
        browser.open(page)
        browser.scripts(True)  # for us to look
        assert browser.evaluate('document.querySelector("noscript").getBoundingClientRect().height') > 0
        assert browser.evaluate('[...document.querySelectorAll("details")].every(one => one.open)')
        assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    finally:
        browser.scripts(True)


def fails(status, *args, names=()):
    done = pajamas.run(*args, check=False)
    assert done.returncode == status, done
    line, = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    for name in names:
        assert name in line, line
    assert not done.stdout
    assert "%" not in done.stderr, done.stderr  # no work was begun


def test_places_that_cannot_be_written(models, tmp_path):
    small = models.gguf("Q4_0")
    (tmp_path / "taken.html").write_text("precious")
    (tmp_path / "folder").mkdir()
    out = tmp_path / "out"
    for command in (("benchmark", small, *SPEED), ("compare", "--model1", small, "--model2", small, *SPEED),
                    ("validate", small, *TEXT), ("quantize", pajamas.TINY, "--format", "mlx", "--method", "4bit",
                                                 "--output", out)):
        fails(6, *command, "--report", tmp_path / "taken.html", names=["--report", "taken.html", "--force"])
        fails(6, *command, "--report", tmp_path / "folder", "--force", names=["--report", "folder"])
        fails(8, *command, "--report", "/proc/none/page.html", names=["--report", "/proc/none"])
    fails(2, *command, "--report", out / "page.html", names=["--report", "inside"])
    fails(2, "benchmark", small, *SPEED, "--output", out, "--report", out, names=["--report", "same"])
    assert not out.exists() and (tmp_path / "taken.html").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "taken.html"]
    pajamas.run("validate", small, *TEXT, "--report", tmp_path / "taken.html", "--force")
    assert (tmp_path / "taken.html").read_text().endswith("</html>\n")


def test_ctrl_c_leaves_a_part(models, tmp_path):
    page = tmp_path / "part.html"
    stdout = pajamas.interrupted("benchmark", models.gguf("Q4_0"), *SPEED[:-2], "--repeats", "100000", "--json", "--report", page,
                                 step="benchmarking", beyond=1500)
    assert json.loads(stdout)["partial"] is True
    assert 'class="partial"' in page.read_text()
    assert ys(figures_of(page)["Generation by context"]) == \
        [row["generation_tokens_per_second"] for row in json.loads(stdout)["results"]]


def test_ctrl_c_leaves_a_part_of_a_comparison(models, tmp_path):
    page = tmp_path / "part.html"
    small = models.gguf("Q4_0")
    report = json.loads(pajamas.interrupted("compare", "--model1", small, "--model2", pajamas.TINY, *SPEED[:-2], "--repeats", "100000",
                                            "--json", "--report", page, step="comparing speed", beyond=1500))
    assert report["partial"] is True
    assert 'class="partial"' in page.read_text()
    figures = figures_of(page)
    for number, model in enumerate(report["models"]):
        assert model["results"]
        assert ys(figures["Generation by context"], number) == \
            [row["generation_tokens_per_second"] for row in model["results"]]
    assert "Perplexity against file size" not in figures  # it was not come to
    assert [path.name for path in tmp_path.iterdir()] == ["part.html"]


def test_ctrl_c_of_quantize_leaves_nothing(tmp_path):
    """A model is whole or not there, and so is its page: there is no part of one, and what was there stays."""
    page = tmp_path / "page.html"
    page.write_text("precious")
    matrix, = pajamas.MATRICES.glob("tiny-qwen3-moe*")
    stdout = pajamas.interrupted("quantize", pajamas.TINY_MOE, "--format", "gguf,mlx", "--method", "IQ2_XS:4bit", "--imatrix", matrix,
                                 "--threads", "1", "--output", tmp_path / "out", "--json", "--report", page, "--force",
                                 step="quantizing", beyond=0)
    assert not stdout
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if not path.is_dir()]
    assert left == [pathlib.Path("page.html")] and page.read_text() == "precious"


def test_ctrl_c_keeps_what_validate_was_through_with(models, tmp_path):
    page = tmp_path / "part.html"
    process = subprocess.Popen([pajamas.BINARY, "validate", models.gguf("Q4_0"), "--metrics", "perplexity,mmlu",
                                *map(str, TEXT), "--shots", "0", "--json", "--report", page],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stderr:
        message = json.loads(line)
        if message.get("unit") == "questions":
            break
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and not stdout, stderr
    assert 'class="partial"' in page.read_text()
    assert "Perplexity by position" in figures_of(page) and "MMLU by category" not in figures_of(page)
