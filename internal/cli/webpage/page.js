// Fetches status.json every few seconds and draws it. The names of its fields are those of webpage.go.
'use strict';

const svgSpace = 'http://www.w3.org/2000/svg';
const width = 300, height = 100;

// element makes a node. Texts become text nodes, never markup.
function element(name, className, ...children) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...children);
  return e;
}

function shape(name, attributes, ...children) {
  const e = document.createElementNS(svgSpace, name);
  for (const key in attributes) e.setAttribute(key, attributes[key]);
  e.append(...children);
  return e;
}

function digits(v) {
  if (Math.abs(v) >= 100) return String(Math.round(v));
  return String(Number(v.toPrecision(3)));
}

function scaled(v, base, units) {
  let i = 0;
  while (Math.abs(v) >= base - 0.5 && i < units.length - 1) { v /= base; i++; }
  return digits(v) + units[i];
}

// format writes a value in the unit of a chart.
function format(v, unit) {
  if (v === null || v === undefined) return '–';
  switch (unit) {
    case '%': return Math.round(v * 1000) / 10 + ' %';
    case 'B': case 'B/s': return scaled(v, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB']) + unit.slice(1);
    case 's': return v < 1e-3 ? digits(v * 1e6) + ' µs' : v < 1 ? digits(v * 1e3) + ' ms' : digits(v) + ' s';
  }
  return scaled(v, 1000, ['', ' k', ' M', ' G', ' T']) + unit;
}

// ceiling returns the top of a chart: the next of 1, 2, 5 times a power of the unit's base.
function ceiling(max, unit) {
  if (unit === '%') return 1;
  if (!(max > 0)) return unit === 's' ? 1e-6 : 1;
  let base = 1;
  if (unit[0] === 'B') while (base * 1024 <= max) base *= 1024;
  const power = Math.pow(10, Math.floor(Math.log10(max / base)));
  for (const step of [1, 2, 5, 10]) if (step * power * base >= max) return step * power * base;
  return max;
}

// path draws the values that are there; a missing one interrupts the line.
function path(values, top, length) {
  let d = '', pen = 'M';
  values.forEach((v, i) => {
    if (v === null) { pen = 'M'; return; }
    const x = width * (length - values.length + i) / (length - 1);
    d += pen + x.toFixed(1) + ' ' + (height - height * Math.min(v / top, 1)).toFixed(1);
    pen = 'L';
  });
  return d;
}

let cursor = null; // {id, at}: the chart under the pointer and the position there, 0 to 1

function drawChart(chart, id, every) {
  const all = chart.lines.flatMap(l => l.values).filter(v => v !== null);
  const samples = Math.max(30, ...chart.lines.map(l => l.values.length)); // a minute at least
  const top = ceiling(Math.max(0, ...all), chart.unit);
  const svg = shape('svg', {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': chart.title});
  for (const y of [0, 50, 100]) svg.append(shape('line', {class: 'grid', x1: 0, x2: width, y1: y, y2: y}));
  chart.lines.forEach((line, i) => {
    const d = path(line.values, top, samples);
    if (i === 0 && d && !line.values.includes(null)) {
      const left = width * (samples - line.values.length) / (samples - 1);
      svg.append(shape('path', {class: 'area line0', d: `${d}L${width} ${height}L${left} ${height}Z`}));
    }
    svg.append(shape('path', {class: 'line line' + i, d}));
  });
  const mark = shape('line', {class: 'cursor', y1: 0, y2: height, visibility: 'hidden'});
  svg.append(mark);

  const scale = element('span', 'scale', format(top, chart.unit));
  const readings = chart.lines.map(() => element('span'));
  const legend = element('ul', 'legend', ...chart.lines.map((line, i) =>
    element('li', '', shape('svg', {viewBox: '0 0 12 8', 'aria-hidden': 'true'}, shape('line', {class: 'swatch line' + i, x1: 0, x2: 12, y1: 4, y2: 4})),
      line.name + ' ', readings[i])));

  // read shows the values at a position, or the latest.
  function read(at) {
    const back = at === null ? 0 : Math.round((1 - at) * (samples - 1));
    mark.setAttribute('visibility', at === null ? 'hidden' : 'visible');
    if (at !== null) { mark.setAttribute('x1', at * width); mark.setAttribute('x2', at * width); }
    scale.textContent = at === null ? format(top, chart.unit) : `${Math.round(back * every / 1000)} s ago`;
    chart.lines.forEach((line, i) => { readings[i].textContent = format(line.values[line.values.length - 1 - back], chart.unit); });
  }
  svg.addEventListener('pointermove', e => {
    const box = svg.getBoundingClientRect();
    cursor = {id, at: Math.min(1, Math.max(0, (e.clientX - box.left) / box.width))};
    read(cursor.at);
  });
  svg.addEventListener('pointerleave', () => { cursor = null; read(null); });
  read(cursor && cursor.id === id ? cursor.at : null);
  return element('section', 'card chart', element('div', 'head', element('h3', '', chart.title), scale), svg, legend);
}

function drawFigure(figure) {
  const card = element('section', 'card', element('div', 'label', figure.label), element('div', 'value', figure.value));
  if (figure.share !== undefined) {
    const bar = element('progress');
    bar.max = 1;
    bar.value = figure.share;
    bar.setAttribute('aria-label', figure.label);
    card.append(bar);
  }
  if (figure.note) card.append(element('div', 'remark', figure.note));
  return card;
}

function drawTable(table) {
  const body = element('tbody');
  for (const row of table.rows) {
    const name = element('td', 'named');
    if (row.share) {
      name.append(shape('svg', {viewBox: '0 0 1 1', preserveAspectRatio: 'none', 'aria-hidden': 'true'}, shape('rect', {width: row.share, height: 1})));
    }
    name.append(element('span', '', row.cells[0]));
    body.append(element('tr', '', name, ...row.cells.slice(1).map(c => element('td', '', c))));
  }
  const card = element('section', 'card', element('h3', '', table.title));
  if (table.rows.length > 0) {
    const head = element('tr', '', ...table.columns.map(c => element('th', '', c)));
    card.append(element('table', '', element('thead', '', head), body));
  }
  if (table.note) card.append(element('p', 'remark', table.note));
  return card;
}

function draw(view) {
  document.title = view.title;
  document.getElementById('title').textContent = view.title;
  document.getElementById('note').textContent = [view.version, view.note].filter(Boolean).join(' · ');
  const parts = view.parts.map((part, p) => {
    const e = element('section', 'part');
    if (part.name) e.append(element('h2', '', part.name));
    e.append(
      element('div', 'figures', ...part.figures.map(drawFigure)),
      element('div', 'charts', ...part.charts.map((c, i) => drawChart(c, `${p}/${i}`, view.every))),
      element('div', 'tables', ...part.tables.map(drawTable)));
    return e;
  });
  document.getElementById('parts').replaceChildren(...parts);
}

function show(state, text) {
  const e = document.getElementById('state');
  e.className = state;
  e.textContent = text;
}

let every = 2000;

async function update() {
  if (!document.hidden) {
    try {
      const reply = await fetch('status.json', {signal: AbortSignal.timeout(10000)});
      if (!reply.ok) throw new Error(reply.statusText);
      const view = await reply.json();
      every = view.every;
      if (getSelection().isCollapsed) draw(view); // else the selected text would go
      show('live', 'live');
    } catch {
      show('lost', 'no connection');
    }
  }
  setTimeout(update, every);
}

document.addEventListener('DOMContentLoaded', update);
