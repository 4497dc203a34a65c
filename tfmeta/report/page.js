// The explorer: every evaluated structure as a point. What is not drawn here is in the page without it.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const stage = find("stage"), detail = find("detail");
  if (!stage || data.axes.length < 2) return;
  const axes = new Map(data.axes.map((axis) => [axis.name, axis]));
  const plot = stage.querySelector("svg"), tip = stage.querySelector(".tip");
  const REACH = { mouse: 40, touch: 60 }, FAR = 1.25, MANY = 2000;  // pixels; _FAR of chart.py; _MANY of html.py

  const BUDGET = { within: "", predicted: ", within the budget by prediction", outside: ", outside the budget" };
  const standings = data.standing.map((place) => data.standings[place]);

  // Structures and the named networks of the table, in one list.
  const points = data.searcher.map((searcher, i) => ({
    id: String(i + 1), name: `Structure ${i + 1}`, searcher, standing: standings[i],
    about: `${data.searchers[searcher]}, generation ${data.generation[i] + 1}` + BUDGET[standings[i]],
    widths: data.widths[i], value: (axis) => data.values[axis][i],
  }));
  const rows = data.rows.map((row) => ({
    id: row.name, name: row.name, searcher: null, standing: null, about: "a network of the table",
    widths: row.widths, value: (axis) => row.values[axis],
  }));
  const all = [...points, ...rows];
  all.forEach((point, order) => { point.order = order; });
  const byId = new Map(all.map((point) => [point.id, point]));

  const first = data.axes[0].name;
  const second = axes.has("macs") ? "macs" : data.axes[1].name;
  const state = { x: second, y: first, over: null, kept: byId.get(data.winner) || null };
  let layout = { shown: [], front: [] };  // what is on the screen, and where: px and py of a point

  // Numbers as people read them, as wording.py writes them.
  const COUNT = [[1e9, " G"], [1e6, " M"], [1e3, " k"], [1, ""]];
  const BYTES = [[1e9, " GB"], [1e6, " MB"], [1e3, " kB"], [1, " B"]];
  const digits = (v) => v.toFixed(Math.abs(v) < 0.9995 ? 3 : Math.abs(v) < 9.995 ? 2 : Math.abs(v) < 99.95 ? 1 : 0);
  const sized = (v, units, text) => {
    const [size, unit] = units.find(([limit]) => Math.abs(v) >= limit) || [1, units.at(-1)[1]];
    return (size === 1 ? text(v, true) : text(v / size)) + unit;
  };
  const short = (v) => String(Number(v.toPrecision(6)));
  function shown(axis, v, text = (value, whole) => (whole ? value.toFixed(0) : digits(value))) {
    if (v === null || v === undefined) return "not measured";
    if (!axis.minimize) return `${(100 * v).toFixed(1)} %`;
    if (axis.unit === "ms") return `${text(v)} ms`;
    return sized(v, axis.unit === "bytes" ? BYTES : COUNT, text);
  }
  const tick = (axis, v) => (axis.minimize ? shown(axis, v, short) : short(100 * v));
  const titled = (axis) => axis.label + (axis.minimize ? "" : ", %");

  function element(parent, name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return parent.appendChild(made);
  }

  function ticks(low, high, count) {
    const raw = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n <= Math.floor(high / step + 1e-9); n++) found.push(n * step);
    return found;
  }

  function scale(values, start, end) {
    let low = Infinity, high = -Infinity;
    for (const v of values) { low = Math.min(low, v); high = Math.max(high, v); }
    const pad = 0.06 * (high - low) || 0.06 * Math.abs(high) || 1;
    low -= pad; high += pad;
    return { low, high, at: (v) => start + ((v - low) / (high - low)) * (end - start) };
  }

  const better = (axis, a, b) => (axis.minimize ? a < b : a > b);

  // Those within the budget that no other equals or beats along both axes, along the axis across.
  function frontOf(shownPoints, ax, ay) {
    const sorted = shownPoints.filter((p) => p.standing === "within").sort((a, b) => {
      const [ux, uy] = [a.value(ax.name), a.value(ay.name)], [vx, vy] = [b.value(ax.name), b.value(ay.name)];
      return ux !== vx ? (better(ax, ux, vx) ? -1 : 1) : uy !== vy ? (better(ay, uy, vy) ? -1 : 1) : 0;
    });
    const front = [];
    for (const p of sorted) {
      if (!front.length || better(ay, p.value(ay.name), front.at(-1).value(ay.name))) front.push(p);
    }
    return front;
  }

  function draw() {
    const width = Math.max(260, stage.clientWidth), height = Math.round(Math.min(460, Math.max(320, width * 0.62)));
    const ax = axes.get(state.x), ay = axes.get(state.y);
    const known = (p) => p.value(ax.name) != null && p.value(ay.name) != null;
    const trials = points.filter(known);
    const reach = trials.reduce((most, p) => Math.max(most, p.value(ax.name)), 0);
    const near = (p) => !trials.length || !ax.minimize || p.value(ax.name) <= FAR * reach;
    const named = rows.filter((p) => known(p) && near(p));
    const drawn = [...trials, ...named];
    plot.replaceChildren();
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    absent(rows.filter((p) => !named.includes(p)), points.length - trials.length, ax, ay);
    if (!drawn.length) {
      layout = { shown: [], front: [], width };
      return mark();
    }
    const inside = { left: ay.minimize ? 62 : 46, right: width - 12, top: 14, bottom: height - 42 };
    const x = scale(drawn.map((p) => p.value(ax.name)), inside.left, inside.right);
    const y = scale(drawn.map((p) => p.value(ay.name)), inside.bottom, inside.top);
    const px = (p) => x.at(p.value(ax.name)), py = (p) => y.at(p.value(ay.name));
    layout = { shown: drawn, front: frontOf(trials, ax, ay), px, py, width };
    grid(x, y, ax, ay, inside, width, height);
    dots(trials, px, py);
    named.forEach((p) => {
      if (p.id === data.winner) element(plot, "circle", { cx: px(p), cy: py(p), r: 7, class: "row winner" });
      else element(plot, "rect", { x: px(p) - 5, y: py(p) - 5, width: 10, height: 10, class: "row" });
    });
    labels(named, px, py, inside);
    element(plot, "text", { class: "halo", x: inside.left + 6, y: inside.top + 10 }, titled(ay));
    mark();
  }

  function grid(x, y, ax, ay, { left, right, top, bottom }, width, height) {
    for (const v of ticks(y.low, y.high, height / 55)) {
      element(plot, "line", { class: "grid", x1: left, x2: right, y1: y.at(v), y2: y.at(v) });
      element(plot, "text", { x: left - 7, y: y.at(v) + 4, "text-anchor": "end" }, tick(ay, v));
    }
    for (const v of ticks(x.low, x.high, width / 90)) {
      element(plot, "line", { class: "grid", x1: x.at(v), x2: x.at(v), y1: top, y2: bottom });
      element(plot, "text", { x: x.at(v), y: bottom + 17, "text-anchor": "middle" }, tick(ax, v));
    }
    element(plot, "text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, titled(ax));
  }

  // One path for all points of a kind, as Dots of chart.py has it: ten thousand of them are drawn at once.
  function dots(trials, px, py) {
    const many = trials.length > MANY ? "many " : "";
    for (const standing of data.standings) {
      for (let searcher = data.searchers.length - 1; searcher >= 0; searcher--) {  // the first one on top
        const own = trials.filter((p) => p.searcher === searcher && p.standing === standing);
        const path = own.map((p) => `M${px(p).toFixed(1)} ${py(p).toFixed(1)}h0`).join("");
        if (path) element(plot, "path", { d: path, class: `dots ${standing} ${many}s${searcher % 5}` });
      }
    }
    const stairs = layout.front.map((p, i) => {
      const [a, b] = [px(p).toFixed(1), py(p).toFixed(1)];
      return i ? `H${a}V${b}` : `M${a} ${b}`;
    });
    if (stairs.length) element(plot, "path", { d: stairs.join(""), class: "front" });
  }

  function labels(named, px, py, { left, right, top }) {
    const set = [];
    for (const p of [...named].sort((a, b) => py(a) - py(b))) {
      const fits = px(p) + 12 + 7 * p.name.length < right;
      const at = { x: fits ? px(p) + 11 : Math.max(px(p) - 11, left), y: Math.max(py(p) + 4, top + 10) };
      for (const other of set) if (Math.abs(other.x - at.x) < 80 && at.y - other.y < 15) at.y = other.y + 15;
      set.push(at);
      element(plot, "text", { class: "label", x: at.x, y: at.y, "text-anchor": fits ? "start" : "end" }, p.name);
    }
  }

  function absent(left, unknown, ax, ay) {
    const told = left.map((p) => `${p.name} (${shown(ax, p.value(ax.name))}; ${shown(ay, p.value(ay.name))})`);
    if (unknown) told.push(`${unknown} structures without a value on these axes`);
    find("absent").hidden = !told.length;
    find("absent").textContent = `Not drawn: ${told.join(", ")}.`;
  }

  const values = (p) => data.axes.map((axis) => {
    const number = shown(axis, p.value(axis.name)).replaceAll(" ", "\u00a0");
    return `${axis.label}: ${number}`;
  });

  // The rings around the two points that are looked at, and the words about them.
  function mark() {
    for (const ring of plot.querySelectorAll(".ring")) ring.remove();
    const there = (p) => p && layout.shown.includes(p);
    for (const [p, kind] of [[state.kept, "kept"], [state.over, "over"]]) {
      if (!there(p)) continue;
      const at = { cx: layout.px(p), cy: layout.py(p), r: 9 };
      element(plot, "circle", { ...at, class: "ring" });
      element(plot, "circle", { ...at, class: `ring ${kind}` });
    }
    tip.hidden = !there(state.over);
    if (!tip.hidden) {
      const [name, lines] = [tip.querySelector("b"), tip.querySelector("span")];
      name.textContent = state.over.name;
      lines.textContent = [state.over.about, ...values(state.over)].join("\n");
      sparkline(state.over);
      const x = layout.px(state.over), y = layout.py(state.over), wide = tip.offsetWidth, high = tip.offsetHeight;
      tip.style.left = `${Math.max(0, x + 16 + wide > layout.width ? x - wide - 16 : x + 16)}px`;
      tip.style.top = `${Math.max(0, y - high / 2)}px`;
    }
    for (const button of find("jumps").children) {
      button.setAttribute("aria-pressed", String(byId.get(button.value) === state.kept));
    }
  }

  // The width of each group as a share of the full one, from the first group to the last.
  function sparkline(p) {
    const step = 100 / Math.max(1, p.widths.length);
    const bars = (share) => p.widths.map((width, i) => {
      const high = 24 * share(width, data.groups[i][1]);
      return `M${(i * step).toFixed(2)} 24v${(-high).toFixed(2)}h${(step * 0.8).toFixed(2)}v${high.toFixed(2)}z`;
    }).join("");
    tip.querySelector(".track").setAttribute("d", bars(() => 1));
    tip.querySelector(".kept").setAttribute("d", bars((width, full) => width / full));
  }

  function describe(p) {
    if (!detail || !p || !p.widths.length) return;
    detail.querySelector("h3").textContent = p.name;
    const best = layout.front.includes(p) ? "; one of the best at its cost" : "";
    detail.querySelector(".about").textContent = p.about + best;
    for (const cell of detail.querySelectorAll("[data-axis]")) {
      const axis = axes.get(cell.dataset.axis);
      cell.textContent = shown(axis, p.value(axis.name));
    }
    detail.querySelectorAll(".group").forEach((group, i) => {
      group.querySelector("rect.kept").setAttribute("width", p.widths[i]);
      group.querySelector(".number b").textContent = p.widths[i];
    });
  }

  function look(p) {
    state.over = p;
    mark();
  }

  function keep(p) {
    state.kept = p;
    draw();
    describe(p);
    address();
  }

  // The fragment of the address holds what is looked at: #structure=12&x=macs&y=accuracy
  function address() {
    const words = new URLSearchParams({ ...(state.kept ? { structure: state.kept.id } : {}), x: state.x, y: state.y });
    history.replaceState(null, "", `#${words}`);
  }

  function follow() {
    const words = new URLSearchParams(location.hash.slice(1));
    const [x, y] = ["x", "y"].map((side) => (axes.has(words.get(side)) ? words.get(side) : state[side]));
    if (x !== y) Object.assign(state, { x, y });
    if (byId.has(words.get("structure"))) state.kept = byId.get(words.get("structure"));
    find("x-axis").value = state.x;
    find("y-axis").value = state.y;
    draw();
    describe(state.kept);
  }

  function nearest(event, reach) {
    const box = plot.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = reach * reach;
    for (const p of layout.shown) {
      const distance = (layout.px(p) - x) ** 2 + (layout.py(p) - y) ** 2;
      // A named network lies above the structure that it is.
      if (distance < least || (distance === least && p.searcher === null)) { best = p; least = distance; }
    }
    return best;
  }

  function walk(event) {
    const from = state.over || state.kept, along = layout.front;
    const { px, py, shown: every } = layout;
    const across = (a, b) => px(a) - px(b) || py(b) - py(a) || a.order - b.order;
    const lines = { ArrowLeft: [every, -1], ArrowRight: [every, 1], ArrowDown: [along, -1], ArrowUp: [along, 1] };
    const line = lines[event.key];
    if (line) {
      const sorted = [...line[0]].sort(across);
      if (!sorted.length) return;
      const place = sorted.indexOf(from);
      let next = place + line[1];
      if (place < 0) {  // not in the list: its neighbour on that side
        const beyond = from && layout.shown.includes(from) ? sorted.findIndex((p) => across(p, from) > 0) : 0;
        next = beyond < 0 ? sorted.length - (line[1] < 0 ? 1 : 0) : line[1] < 0 ? beyond - 1 : beyond;
      }
      look(sorted[Math.min(sorted.length - 1, Math.max(0, next))]);
      find("told").textContent = [state.over.name, state.over.about, ...values(state.over)].join(", ");
    } else if ((event.key === "Enter" || event.key === " ") && state.over) keep(state.over);
    else if (event.key === "Escape") look(null);
    else return;
    event.preventDefault();
  }

  for (const side of ["x", "y"]) {
    const select = find(`${side}-axis`), other = side === "x" ? "y" : "x";
    for (const axis of data.axes) select.add(new Option(axis.label, axis.name));
    select.addEventListener("change", () => {
      if (state[other] === select.value) { state[other] = state[side]; find(`${other}-axis`).value = state[other]; }
      state[side] = select.value;
      keep(state.kept);
    });
  }
  for (const row of rows) {
    const button = document.createElement("button");
    button.type = "button";
    button.value = button.textContent = row.name;
    button.addEventListener("click", () => keep(row));
    find("jumps").append(button);
  }
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch") look(nearest(event, REACH.mouse));
  });
  stage.addEventListener("pointerleave", () => look(null));
  stage.addEventListener("click", (event) => {
    const p = nearest(event, REACH[event.pointerType] || REACH.mouse);
    if (p) { state.over = p; keep(p); }
  });
  stage.addEventListener("keydown", walk);
  stage.addEventListener("focus", () => { if (!state.over) look(state.kept); });
  stage.addEventListener("blur", () => look(null));
  addEventListener("hashchange", follow);

  find("still").hidden = true;
  for (const part of [stage, find("help"), document.querySelector(".choices")]) part.hidden = false;
  new ResizeObserver(() => { if (Math.abs(stage.clientWidth - (layout.width || 0)) > 1) draw(); }).observe(stage);
  follow();
})();
