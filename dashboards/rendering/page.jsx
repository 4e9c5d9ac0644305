// The whole dashboard on one page, drawn from window.PICTURE, which render.py writes.
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { ThemeContext } from '@grafana/data';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { prepare, theme } from './fields.js';
import { Panel } from './panels.jsx';

// What is so long ago is so at the end of the range, whenever it is drawn.
Date.now = () => window.PICTURE.range[1];

const { dashboard, answers, chosen, width, cell, header } = window.PICTURE;
const column = (width - 16) / 24;

function Variables() {
  return dashboard.templating.list
    .filter((variable) => variable.hide !== 2)
    .map(({ name, label }) => (
      <span key={name} style={{ marginRight: 12, display: 'inline-block' }}>
        <span style={{ color: theme.colors.text.secondary }}>{label} </span>
        <span style={{ border: `1px solid ${theme.colors.border.medium}`, padding: '2px 6px' }}>
          {chosen[name]}
        </span>
      </span>
    ));
}

function Header() {
  const links = dashboard.links.map(({ title }) => title).join(' · ');
  return (
    <div style={{ padding: '8px 12px', lineHeight: '26px' }}>
      <div>
        <b style={{ fontSize: 16 }}>{dashboard.title}</b>
        <span style={{ float: 'right', color: theme.colors.text.link }}>{links}</span>
      </div>
      <Variables />
    </div>
  );
}

function Placed({ panel, frames }) {
  const { x, y, w, h } = panel.gridPos;
  const size = { width: w * column - 8, height: h * cell - 8 };
  const style = { position: 'absolute', left: 8 + x * column, top: header + y * cell, ...size };
  if (panel.type === 'row') {
    const title = panel.collapsed
      ? `› ${panel.title} (${panel.panels.length} panels)`
      : `⌄ ${panel.title}`;
    return <div style={{ ...style, fontSize: 16, paddingTop: 4 }}>{title}</div>;
  }
  return <div style={style}><Panel panel={panel} frames={frames} {...size} /></div>;
}

const prepared = Promise.all(
  dashboard.panels.map((panel, number) => (panel.type === 'row' ? [] : prepare(panel, answers[number])))
);

// The canvases draw their text at once: its font must be there.
const fonts = document.fonts.load(`12px ${theme.typography.fontFamily}`);

Promise.all([prepared, fonts]).then(([frames]) => {
  const style = {
    position: 'relative', width, height: window.PICTURE.height,
    background: theme.colors.background.canvas, color: theme.colors.text.primary,
    fontFamily: theme.typography.fontFamily,
  };
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={style}>
        <Header />
        {dashboard.panels.map((panel, number) => (
          <Placed key={number} panel={panel} frames={frames[number]} />
        ))}
      </div>
      <PortalContainer />
    </ThemeContext.Provider>
  );
});
