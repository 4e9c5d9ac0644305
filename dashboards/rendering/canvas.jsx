// Three visualizations that are in Grafana but not in its packages, drawn in their manner:
// state timeline, status history and heatmap.
import React from 'react';
import { getDisplayProcessor } from '@grafana/data';
import { theme } from './fields.js';

const FONT = `12px ${theme.typography.fontFamily}`;
const BOTTOM = 44;

/** A canvas on which `draw(context)` draws, in CSS pixels. */
function Drawing({ width, height, draw }) {
  const canvas = React.useRef(null);
  React.useEffect(() => {
    const context = canvas.current.getContext('2d');
    context.setTransform(2, 0, 0, 2, 0, 0);
    context.font = FONT;
    draw(context);
  }, []);
  return <canvas ref={canvas} width={2 * width} height={2 * height} style={{ width, height }} />;
}

/** Minutes between two marks of a time axis. */
const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440];

/** A function from a time to its place, after drawing the axis: round times, and none cut off. */
function timeAxis(context, left, width, height) {
  const [from, to] = window.PICTURE.range;
  const place = (time) => left + ((time - from) / (to - from)) * (width - left - 10);
  const fewest = ((to - from) * 90) / (width - left);
  const step = 60000 * (MINUTES.find((minutes) => 60000 * minutes >= fewest) ?? MINUTES.at(-1));
  context.fillStyle = theme.colors.text.secondary;
  context.textAlign = 'center';
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    if (place(time) < width - 20) {
      context.fillText(new Date(time).toISOString().slice(11, 16), place(time), height - BOTTOM + 16);
    }
  }
  return place;
}

function seconds(value) {
  const field = { config: { unit: 's' }, type: 'number' };
  const { text, suffix } = getDisplayProcessor({ field, theme })(value);
  return text + (suffix ?? '');
}

/** The stretches of time with one value; without `merged`, one for each step. */
function pieces(times, values, merged) {
  const found = [];
  times.values.forEach((from, index) => {
    const value = values[index];
    const to = from + times.config.interval;
    const last = found.at(-1);
    if (merged && last?.to === from && last.value === value) {
      last.to = to;
    } else if (value !== null) {
      found.push({ from, to, value });
    }
  });
  return found;
}

/** A row of colored pieces for each series. */
export function States({ panel, frames, width, height }) {
  const gap = panel.type === 'status-history' ? 1 : 0;
  const { rowHeight, perPage = 20, legend } = panel.options;
  const draw = (context) => {
    const shown = frames.slice(0, perPage);
    const names = shown.map((frame) => frame.fields[1].config.displayNameFromDS.trim());
    const left = Math.max(...names.map((name) => context.measureText(name).width)) + 20;
    const place = timeAxis(context, left, width, height);
    const tall = (height - BOTTOM) / shown.length;
    shown.forEach((frame, row) => {
      const [times, values] = frame.fields;
      context.globalAlpha = 1;
      context.fillStyle = theme.colors.text.primary;
      context.textAlign = 'right';
      context.fillText(names[row], left - 6, (row + 0.5) * tall + 4);
      context.globalAlpha = panel.type === 'status-history' ? 1 : 0.8;
      for (const { from, to, value } of pieces(times, values.values, panel.options.mergeValues)) {
        context.fillStyle = theme.visualization.getColorByName(values.display(value).color);
        const start = Math.max(left, place(from)); // the first step begins before the range
        context.fillRect(
          start, (row + (1 - rowHeight) / 2) * tall,
          Math.max(1, place(to) - start - gap), rowHeight * tall
        );
      }
    });
    context.globalAlpha = 1;
    if (frames.length > perPage) {
      context.fillStyle = theme.colors.text.link;
      context.textAlign = 'center';
      const pages = Math.ceil(frames.length / perPage);
      context.fillText(`page 1 of ${pages}`, width / 2, height - 4);
    } else if (legend.showLegend) {
      wordLegend(context, panel.fieldConfig.defaults.mappings ?? [], height);
    }
  };
  return <Drawing width={width} height={height} draw={draw} />;
}

function wordLegend(context, mappings, height) {
  let left = 0;
  context.textAlign = 'left';
  for (const mapping of mappings.filter(({ type }) => type === 'value')) {
    for (const { text, color } of Object.values(mapping.options).filter((option) => option.text)) {
      context.fillStyle = theme.visualization.getColorByName(color);
      context.fillRect(left, height - 13, 14, 4);
      context.fillStyle = theme.colors.text.primary;
      context.fillText(text, left + 18, height - 7);
      left += 34 + context.measureText(text).width;
    }
  }
}

/** Cumulative buckets, drawn apart. */
export function Heatmap({ panel, frames, width, height }) {
  const bound = (frame) => Number(frame.fields[1].labels.le.replace('+Inf', 'Infinity'));
  const draw = (context) => {
    const left = 64;
    const place = timeAxis(context, left, width, height);
    const sorted = [...frames].sort((one, other) => bound(one) - bound(other));
    const counts = sorted.map((frame, row) =>
      frame.fields[1].values.map((value, index) =>
        value === null ? 0 : value - (row ? sorted[row - 1].fields[1].values[index] ?? 0 : 0)
      )
    );
    const most = Math.max(...counts.flat());
    const tall = (height - BOTTOM - 8) / sorted.length;
    sorted.forEach((frame, row) => {
      const times = frame.fields[0];
      const top = height - BOTTOM - (row + 1) * tall;
      counts[row].forEach((count, index) => {
        if (count <= panel.options.filterValues.le) {
          return;
        }
        const share = Math.sqrt(count / most);
        const [low, high] = theme.isDark ? ['#5c2a00', '#ffcb7d'] : ['#ffe0b8', '#a63603'];
        const from = place(times.values[index] - times.config.interval);
        context.fillStyle = mixed(low, high, share);
        context.fillRect(from, top + 0.5, place(times.values[index]) - from - 1, tall - 1);
      });
      context.fillStyle = theme.colors.text.secondary;
      context.textAlign = 'right';
      const { le } = frame.fields[1].labels;
      if (tall < 15 && row % 2) {
        return;
      }
      context.fillText(le === '+Inf' ? le : seconds(bound(frame)), left - 4, top + 4);
    });
  };
  return <Drawing width={width} height={height} draw={draw} />;
}

function mixed(low, high, share) {
  const part = (color, at) => parseInt(color.slice(at, at + 2), 16);
  const mix = (at) => Math.round(part(low, at) + (part(high, at) - part(low, at)) * share);
  return `rgb(${mix(1)},${mix(3)},${mix(5)})`;
}
