// What Grafana does between the answers of a data source and a panel: the panel's
// transformations, then its field options and overrides.
import {
  FieldConfigOptionsRegistry,
  applyFieldOverrides,
  createTheme,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  numberOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  toDataFrame,
  transformDataFrame,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';

export const theme = createTheme({ colors: { mode: window.PICTURE.theme } });

// Some stand under two names.
const TRANSFORMERS = new Map(Object.values(standardTransformers).map((found) => [found.id, found]));
standardTransformersRegistry.setInit(() =>
  [...TRANSFORMERS.values()].map((found) => ({ id: found.id, name: found.name, transformation: found }))
);

function option(path, process, isCustom = false) {
  const id = isCustom ? `custom.${path}` : path;
  return { id, path, name: id, isCustom, process, settings: {}, shouldApply: () => true };
}

const CUSTOM = [
  'align', 'axisLabel', 'axisPlacement', 'axisSoftMax', 'axisSoftMin', 'cellOptions', 'drawStyle',
  'fillOpacity', 'hidden', 'lineInterpolation', 'lineStyle', 'lineWidth', 'minWidth', 'showPoints',
  'spanNulls', 'stacking', 'width',
];

const OPTIONS = new FieldConfigOptionsRegistry(() => [
  option('color', identityOverrideProcessor),
  option('decimals', numberOverrideProcessor),
  option('displayName', displayNameOverrideProcessor),
  option('links', dataLinksOverrideProcessor),
  option('mappings', valueMappingsOverrideProcessor),
  option('max', numberOverrideProcessor),
  option('min', numberOverrideProcessor),
  option('noValue', stringOverrideProcessor),
  option('thresholds', thresholdsOverrideProcessor),
  option('unit', unitOverrideProcessor),
  ...CUSTOM.map((path) => option(path, identityOverrideProcessor, true)),
]);

// What a panel's plugin sets where the dashboard says nothing.
const PLUGIN_DEFAULTS = {
  timeseries: {
    axisColorMode: 'text', axisPlacement: 'auto', barAlignment: 0, barWidthFactor: 0.6,
    drawStyle: 'line', fillOpacity: 0, gradientMode: 'none', lineInterpolation: 'linear',
    lineWidth: 1, pointSize: 5, scaleDistribution: { type: 'linear' }, showPoints: 'auto',
    spanNulls: false, stacking: { mode: 'none', group: 'A' }, thresholdsStyle: { mode: 'off' },
    hideFrom: { viz: false, legend: false, tooltip: false },
  },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false },
};

// JSON has no -Infinity: the first threshold comes as null.
function withLowestThreshold(value) {
  for (const step of value?.steps ?? []) {
    step.value ??= -Infinity;
  }
}

/** The frames of a panel as its visualization gets them. */
export async function prepare(panel, answers) {
  let frames = answers.map((answer) => toDataFrame(answer));
  if (panel.transformations) {
    frames = await new Promise((resolve) =>
      transformDataFrame(panel.transformations, frames).subscribe(resolve)
    );
  }
  const { defaults, overrides = [] } = structuredClone(panel.fieldConfig);
  withLowestThreshold(defaults.thresholds);
  for (const { properties } of overrides) {
    properties.forEach(({ value }) => withLowestThreshold(value));
  }
  defaults.thresholds ??= { mode: 'absolute', steps: [{ color: 'green', value: -Infinity }] };
  defaults.color ??= { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  defaults.custom = { ...PLUGIN_DEFAULTS[panel.type], ...defaults.custom };
  return applyFieldOverrides({
    data: frames,
    fieldConfig: { defaults, overrides },
    fieldConfigRegistry: OPTIONS,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
}
