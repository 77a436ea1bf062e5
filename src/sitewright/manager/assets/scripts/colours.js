// Colours of terminals: SGR sequences become spans with classes (see pages/colours.py, which does the same on the server); everything
// else is text and only text.
const SGR = /\x1b\[([0-9;]{0,40})m/g;
const OTHER = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])?|[\x00-\x08\x0b-\x1f\x7f]/g;
const SIMPLE = {
  1: { bold: true }, 2: { faint: true }, 3: { italic: true }, 4: { under: true },
  22: { bold: false, faint: false }, 23: { italic: false }, 24: { under: false }, 39: { colour: null },
};

function changed(look, codes) {
  const numbers = codes.split(";").map((part) => Number(part || 0));
  for (let index = 0; index < numbers.length; index += 1) {
    const code = numbers[index];
    if (code === 38 || code === 48) {
      const kind = numbers[index + 1];
      if (code === 38 && kind === 5 && numbers[index + 2] < 16) look = { ...look, colour: numbers[index + 2] };
      index += { 5: 2, 2: 4 }[kind] ?? 0;
    } else if (code === 0) look = {};
    else if (code >= 30 && code < 38) look = { ...look, colour: code - 30 };
    else if (code >= 90 && code < 98) look = { ...look, colour: code - 82 };
    else if (SIMPLE[code]) look = { ...look, ...SIMPLE[code] };
  }
  return look;
}

function classes(look) {
  const names = ["bold", "faint", "italic", "under"].filter((name) => look[name]);
  if (look.colour != null) names.unshift(String(look.colour));
  return names.map((name) => `ansi-${name}`).join(" ");
}

// The nodes of one line.
export function coloured(text) {
  const nodes = [];
  let look = {};
  let start = 0;
  const add = (part) => {
    const shown = part.replace(OTHER, "");
    if (!shown) return;
    const span = document.createElement("span");
    span.className = classes(look);
    span.textContent = shown;
    nodes.push(span.className ? span : document.createTextNode(shown));
  };
  for (const match of text.matchAll(SGR)) {
    add(text.slice(start, match.index));
    look = changed(look, match[1]);
    start = match.index + match[0].length;
  }
  add(text.slice(start));
  return nodes;
}
