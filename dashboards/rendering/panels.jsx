// Each kind of panel that the dashboards use, with the components of Grafana's own packages.
import React from 'react';
import { dateTime, getDisplayValueAlignmentFactors, getFieldDisplayValues } from '@grafana/data';
import { BigValue, PanelChrome, Table, TimeSeries, VizRepeater } from '@grafana/ui';
import { Heatmap, States } from './canvas.jsx';
import { theme } from './fields.js';

const [FROM, TO] = window.PICTURE.range.map((time) => dateTime(time));
const TIME_RANGE = { from: FROM, to: TO, raw: { from: FROM, to: TO } };

function values(panel, frames) {
  return getFieldDisplayValues({
    data: frames,
    fieldConfig: { defaults: {}, overrides: [] },
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
}

function Stat({ panel, frames, width, height }) {
  const { textMode } = panel.options;
  const render = ({ value, width, height, count, alignmentFactors }) => (
    <BigValue
      value={value.display} count={count} alignmentFactors={alignmentFactors} width={width}
      height={height} theme={theme}
      colorMode={panel.options.colorMode} graphMode="none" justifyMode="auto" wideLayout
      textMode={textMode !== 'auto' ? textMode : count > 1 ? 'value_and_name' : 'value'}
    />
  );
  return (
    <VizRepeater
      getValues={() => values(panel, frames)} getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={render} width={width} height={height}
      source={frames} itemSpacing={3} orientation="auto" renderCounter={0}
    />
  );
}

/** Lines over the plot where the dashboard's annotations are. */
function Annotations({ plot }) {
  const place = ({ time }) =>
    ((time - TIME_RANGE.from.valueOf()) / (TIME_RANGE.to.valueOf() - TIME_RANGE.from.valueOf())) *
    plot.width;
  return window.PICTURE.annotations.map((annotation, number) => {
    const left = plot.left + place(annotation);
    const wide = Math.max(0, place({ time: annotation.timeEnd }) - place(annotation));
    const color = theme.visualization.getColorByName(annotation.color);
    const at = { position: 'absolute', pointerEvents: 'none', left };
    return (
      <React.Fragment key={number}>
        <div style={{ ...at, top: plot.top, height: plot.height, borderLeft: `1px dashed ${color}` }} />
        <div style={{
          ...at, top: plot.top, height: plot.height, width: wide, background: color, opacity: 0.1,
        }} />
        <div style={{
          ...at, left: left - (wide ? 0 : 4), top: plot.top + plot.height, width: wide || 8, height: 4,
          background: color,
        }} />
      </React.Fragment>
    );
  });
}

function Lines({ panel, frames, width, height }) {
  const place = React.useRef(null);
  const [plot, setPlot] = React.useState(null);
  React.useEffect(() => {
    const timer = setInterval(() => {
      const over = place.current.querySelector('.u-over');
      if (over) {
        clearInterval(timer);
        const inner = over.getBoundingClientRect();
        const outer = place.current.getBoundingClientRect();
        setPlot({
          left: inner.left - outer.left, top: inner.top - outer.top, width: inner.width,
          height: inner.height,
        });
      }
    }, 50);
    return () => clearInterval(timer);
  }, []);
  return (
    <div ref={place} style={{ position: 'relative', width, height }}>
      <TimeSeries
        width={width} height={height} frames={frames} timeRange={TIME_RANGE} timeZone="utc"
        legend={panel.options.legend} structureRev={1}
      />
      {plot && <Annotations plot={plot} />}
    </div>
  );
}

function Rows({ panel, frames, width, height }) {
  return (
    <Table
      data={frames[panel.options.frameIndex ?? 0]} width={width} height={height} cellHeight="sm"
      initialSortBy={panel.options.sortBy} showTypeIcons={false} timeRange={TIME_RANGE}
    />
  );
}

function Words({ panel }) {
  return <div style={{ padding: 8 }} className="markdown-html">{panel.options.content}</div>;
}

const KINDS = {
  heatmap: Heatmap, stat: Stat, 'state-timeline': States, 'status-history': States,
  table: Rows, text: Words, timeseries: Lines,
};

function Empty({ panel }) {
  const text = panel.fieldConfig.defaults.noValue ?? 'No data';
  const style = { display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center' };
  return <div style={style}>{text}</div>;
}

/** A panel with its frame and title. */
export function Panel({ panel, frames, width, height }) {
  const nothing = panel.type !== 'text' && frames.every((frame) => !frame.length);
  const Kind = nothing ? Empty : KINDS[panel.type];
  return (
    <PanelChrome
      title={panel.title} description={panel.description} width={width} height={height}
      padding={panel.type === 'table' ? 'none' : 'md'}
    >
      {(inner, tall) => <Kind panel={panel} frames={frames} width={inner} height={tall} />}
    </PanelChrome>
  );
}
