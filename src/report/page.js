// Draws the figures of the page with Chart.js, in the colours of the theme, and again when that
// changes; arrow keys go through the points of a figure; the data can be saved.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const SHAPES = ["circle", "rect", "triangle", "rectRot", "star", "crossRot", "rectRounded", "cross"];
  const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
  const MOST_LETTERS = 20;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // As the tables have it (figure.cpp).
  const number = (value) => Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en-US")
    : String(Number(value.toPrecision(4)));
  const bytes = (value) => {
    for (const [size, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
      if (Math.abs(value) >= size) return Number((value / size).toPrecision(3)) + " " + name;
    }
    return number(value) + " B";
  };
  const UNITS = {
    number, bytes,
    count: (value) => Math.round(value).toLocaleString("en-US"),
    seconds: (value) => Number(value.toPrecision(3)) + " s",
    share: (value) => Number((value * 100).toPrecision(3)) + " %",
  };
  const shown = (axis, value) => axis.names.length && axis.names[value] !== undefined
    ? axis.names[value] : UNITS[axis.unit](value);
  const short = (text) => text.length > MOST_LETTERS ? text.slice(0, MOST_LETTERS - 1) + "…" : text;

  // From the colour of the least bits to that of the most.
  const shade = (share) => {
    const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    const from = parts(colour("--least")), to = parts(colour("--most"));
    return "rgb(" + from.map((part, i) => Math.round(part + (to[i] - part) * share)).join(",") + ")";
  };

  const whiskers = {
    id: "whiskers",
    afterDatasetsDraw(chart) {
      const { ctx, scales } = chart;
      chart.data.datasets.forEach((set, index) => {
        if (!set.points || !chart.isDatasetVisible(index)) return;
        const lying = chart.options.indexAxis === "y";
        const scale = lying ? scales.x : scales.y;
        chart.getDatasetMeta(index).data.forEach((mark, at) => {
          const { low, high } = set.points[at];
          if (low == null || high == null || mark.skip) return;
          const from = scale.getPixelForValue(low), to = scale.getPixelForValue(high);
          ctx.save();
          ctx.strokeStyle = lying ? colour("--ink") : set.borderColor;
          ctx.lineWidth = 1.5;
          ctx.beginPath();
          if (lying) { ctx.moveTo(from, mark.y); ctx.lineTo(to, mark.y); }
          else { ctx.moveTo(mark.x, from); ctx.lineTo(mark.x, to); }
          ctx.stroke();
          ctx.restore();
        });
      });
    },
  };

  const level = {
    id: "level",
    afterDraw(chart) {
      const line = chart.config._config.level;
      if (!line) return;
      const { ctx, chartArea, scales } = chart, y = scales.y.getPixelForValue(line.y);
      ctx.save();
      ctx.strokeStyle = colour("--ink");
      ctx.setLineDash([6, 4]);
      ctx.beginPath();
      ctx.moveTo(chartArea.left, y);
      ctx.lineTo(chartArea.right, y);
      ctx.stroke();
      ctx.restore();
    },
  };

  const datasets = (figure) => {
    const colours = colour("--series").split(",").map((one) => one.trim());
    return figure.series.map((series, index) => {
      const tiles = figure.mark === "tiles", last = Math.max(1, figure.series.length - 1);
      const tint = tiles ? shade(index / last) : colours[index % colours.length];
      return {
        label: series.name,
        points: series.points,
        data: figure.mark === "bars" ? barData(figure, series) : series.points.map(({ x, y }) => ({ x, y })),
        backgroundColor: tint,
        borderColor: tiles ? colour("--faint") : tint,
        borderWidth: tiles ? 1 : 2,
        borderDash: DASHES[index % DASHES.length],
        pointStyle: tiles ? "rect" : SHAPES[index % SHAPES.length],
        pointRadius: tiles ? 4 : 5,
        pointHoverRadius: tiles ? 6 : 7,
        showLine: figure.mark === "line",
        spanGaps: true,
        minBarLength: 2,
      };
    });
  };
  // One bar a name, those of points that are not there without length.
  const barData = (figure, series) => {
    const data = figure.x.names.map(() => null);
    for (const point of series.points) data[point.x] = point.y;
    return data;
  };

  const scale = (axis, options) => ({
    title: { display: true, text: axis.label, color: colour("--faint") },
    grid: { color: colour("--rule") },
    border: { color: colour("--rule") },
    ...options,
    ticks: { color: colour("--ink"), maxRotation: 60, ...(options.ticks || {}) },
  });
  const named = (axis, options = {}) => scale(axis, {
    type: "linear", min: -0.5, max: axis.names.length - 0.5, grid: { display: false },
    // Whole numbers alone have names.
    afterBuildTicks: (made) => { made.ticks = axis.names.map((name, value) => ({ value })); },
    ...options,
    ticks: { autoSkip: !options.all, callback: (value) => short(axis.names[value] ?? "") },
  });
  const measured = (axis, options = {}) => scale(axis, {
    type: axis.logarithmic ? "logarithmic" : "linear",
    ...options,
    ticks: { callback: (value) => UNITS[axis.unit](value), maxTicksLimit: 7 },
  });

  const scales = (figure) => {
    const { x, y, mark } = figure;
    if (mark === "bars") {
      return {
        y: scale(x, { type: "category", title: { display: false }, grid: { display: false },
          ticks: { autoSkip: false, callback(value) { return short(this.getLabelForValue(value)); } } }),
        x: measured(y, { beginAtZero: true }),
      };
    }
    if (mark === "tiles") return { x: named(x), y: named(y, { reverse: true, all: true }) };
    const within = figure.level ? { suggestedMin: figure.level.y, suggestedMax: figure.level.y } : {};
    const limits = [];
    for (const { points } of figure.series) {
      for (const point of points) limits.push(point.low ?? point.y, point.high ?? point.y);
    }
    const known = limits.filter((value) => value != null);
    within.suggestedMin = Math.min(within.suggestedMin ?? Infinity, ...known);
    within.suggestedMax = Math.max(within.suggestedMax ?? -Infinity, ...known);
    const room = mark === "points" ? { grace: "8%" } : {};
    return { x: x.names.length ? named(x) : measured(x, room), y: measured(y, { ...within, ...room }) };
  };

  const told = (figure, series, point) => {
    if (figure.mark === "tiles") return `${shown(figure.y, point.y)}, ${figure.x.label} ${shown(figure.x, point.x)}: ${series.name}`;
    let text = `${series.name}, ${shown(figure.x, point.x)}: ${UNITS[figure.y.unit](point.y)}`;
    if (point.low != null) text += ` (${UNITS[figure.y.unit](point.low)} to ${UNITS[figure.y.unit](point.high)})`;
    return text;
  };
  // What lies under a mark of the chart.
  const pointOf = (figure, { datasetIndex, dataIndex }) => {
    const series = figure.series[datasetIndex];
    const point = figure.mark === "bars" ? series.points.find(({ x }) => x === dataIndex) : series.points[dataIndex];
    return [series, point];
  };

  const height = (figure) => {
    if (figure.mark === "bars") return 90 + figure.x.names.length * (8 + 16 * figure.series.length);
    if (figure.mark === "tiles") return 110 + 20 * figure.y.names.length;
    return 320;
  };

  // Tiles as large as their field lets them be.
  const fit = (chart, size) => {
    const { mark, x, y } = chart.config._config.figure;
    if (mark !== "tiles") return;
    const width = (size.width - 110) / x.names.length, tall = (size.height - 110) / y.names.length;
    const radius = Math.max(1.5, Math.min(width, tall) / 2 * 0.9 * Math.SQRT2);
    for (const set of chart.data.datasets) set.pointRadius = set.pointHoverRadius = radius;
  };

  const draw = (figure, number) => {
    const canvas = document.getElementById(`figure-${number}`);
    Chart.getChart(canvas)?.destroy();
    canvas.parentElement.style.height = `${height(figure)}px`;
    const sets = datasets(figure);
    if (figure.level) {
      sets.push({ label: figure.level.name, data: [], borderColor: colour("--ink"), borderDash: [6, 4],
        pointStyle: "line", backgroundColor: "transparent", borderWidth: 2 });
    }
    const type = { bars: "bar", line: "line", points: "scatter", tiles: "scatter" }[figure.mark];
    return new Chart(canvas, {
      type, figure, level: figure.level,
      data: { labels: figure.mark === "bars" ? figure.x.names : undefined, datasets: sets },
      plugins: [whiskers, level],
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, onResize: fit,
        indexAxis: figure.mark === "bars" ? "y" : "x",
        scales: scales(figure),
        interaction: { mode: "nearest", intersect: false },
        plugins: {
          legend: {
            display: sets.length > 1 || figure.mark === "tiles",
            labels: { color: colour("--ink"), usePointStyle: true, boxHeight: 7,
              generateLabels: (chart) => Chart.defaults.plugins.legend.labels.generateLabels(chart)
                .filter(({ datasetIndex }) => figure.series[datasetIndex]?.points.length !== 0)
              .map((label) => ({ ...label, text: short(label.text) })) },
          },
          tooltip: { callbacks: { title: () => "", label: (item) => told(figure, ...pointOf(figure, item)) } },
        },
      },
    });
  };

  const drawAll = () => {
    Chart.defaults.font.family = "system-ui, sans-serif";
    Chart.defaults.color = colour("--ink");
    figures.forEach(draw);
  };
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  figures.forEach((figure, number) => {
    const canvas = document.getElementById(`figure-${number}`);
    const output = canvas.parentElement.querySelector("output");
    let at = -1;
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const all = figure.series.flatMap((series, datasetIndex) => series.points
        .map((point, index) => ({ datasetIndex, index: figure.mark === "bars" ? point.x : index, point }))
        .filter(({ point }) => point.y != null));
      at = at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length;
      const chart = Chart.getChart(canvas), chosen = [all[at]];
      const { x, y } = chart.getDatasetMeta(all[at].datasetIndex).data[all[at].index];
      chart.setActiveElements(chosen);
      chart.tooltip.setActiveElements(chosen, { x, y });
      chart.update();
      output.textContent = told(figure, figure.series[all[at].datasetIndex], all[at].point);
    });
  });

  // The program's JSON with every figure as it was measured.
  const save = document.getElementById("save");
  save.href = URL.createObjectURL(new Blob([document.getElementById("data").textContent], { type: "application/json" }));
})();
