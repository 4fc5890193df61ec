// The status page, alive: one request for /debug/pool each second. Tables and their columns are
// those of the page (status.def); what a value looks like is told by the class of its column, as in
// show.c. Text from outside only ever becomes a text node.
'use strict';
(() => {
  const SAMPLES = 60, DASH = '\u2013', SVG = 'http://www.w3.org/2000/svg';
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (tag, parent, text) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };
  const draw = (tag, parent, attributes) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    parent.append(node);
    return node;
  };

  // ---- what values look like; show.c has the same ----

  const tenth = n => (Math.floor(n * 10 + .5) / 10).toFixed(1);
  const percent = share => tenth(share * 100);
  const looks = {
    text: v => String(v),
    state: v => String(v),
    count: v => String(v).replace(/\B(?=(\d{3})+$)/g, '\u202f'),
    bytes: v => {
      const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
      let unit = 0;
      for (; v >= 1024 && unit + 1 < units.length; unit++) v /= 1024;
      return (unit ? tenth(v) : v) + ' ' + units[unit];
    },
    s: v => v < 100 ? Math.floor(v) + ' s' : v < 6000 ? Math.floor(v / 60) + ' min'
      : v < 172800 ? Math.floor(v / 3600) + ' h' : Math.floor(v / 86400) + ' d',
    ms: v => v < 10 ? tenth(v) + ' ms' : v < 10000 ? Math.floor(v + .5) + ' ms' : looks.s(v / 1000),
    share: v => percent(v) + ' %',
    yes: v => v ? 'yes' : 'no',
    names: v => v.join(', '),
    counts: v => Object.entries(v).filter(([, n]) => n).map(([k, n]) => k + ' ' + looks.count(n)).join(' \u00b7 '),
    place: v => (v.namespace ? v.namespace + '/' : '') + (v.name ?? DASH),
    targets: v => v.map(t => t.name).join(' '),
  };
  const shown = (look, v) => v === null || v === undefined ? DASH : looks[look](v) || DASH;

  // ---- cells: a function that shows a value, and touches the page only when it changed ----

  const plain = node => {
    let old;
    return text => { if (text !== old) node.textContent = old = text; };
  };
  const bar = node => {
    const svg = draw('svg', node, { class: 'bar', 'aria-hidden': true });
    const rect = draw('rect', svg, { width: 0 });
    return v => rect.setAttribute('width', Math.max(0, Math.min(100, percent(v ?? 0))) + '%');
  };
  const cells = {
    share: node => {
      node.textContent = '';
      const set = bar(node), write = plain(make('span', node));
      return v => { set(v); write(shown('share', v)); };
    },
    marked: look => node => {
      node.textContent = '';
      const dot = make('i', node), write = plain(node.appendChild(document.createTextNode('')));
      return v => {
        const word = shown(look, v);
        if (dot.className !== word) dot.className = word;
        write(word);
      };
    },
    names: node => {
      const write = plain(node);
      return v => { write(node.title = shown('names', v)); };
    },
    targets: node => {
      let old, rows = [];
      return list => {
        const names = JSON.stringify(list.map(t => t.name));
        if (names !== old) {
          old = names;
          node.textContent = list.length ? '' : DASH;
          rows = list.map(t => {
            const div = make('div', node);
            make('b', div, t.name);
            const set = bar(div), mark = draw('rect', div.lastChild, { class: 'mark' });
            return { set, mark, write: plain(make('span', div)) };
          });
        }
        list.forEach((t, i) => {
          rows[i].set(t.actual_share);
          rows[i].mark.setAttribute('x', percent(t.wanted_share) + '%');
          rows[i].write(shown('share', t.actual_share) + ' of ' + shown('share', t.wanted_share));
        });
      };
    },
    rate: node => {
      const write = plain(make('span', node)), set = line(node);
      return (v, top) => { write(v.length && v.at(-1) !== null ? tenth(v.at(-1)) : DASH); set(v, top); };
    },
    spark: node => line(node),
  };
  cells.state = cells.marked('state');
  cells.yes = cells.marked('yes');
  const cell = (look, node) => {
    if (cells[look]) return cells[look](node);
    const write = plain(node);
    return v => write(shown(look, v));
  };

  // A line of the last samples, newest at the right; null is a gap. <top> is the value of its top.
  const line = node => {
    const svg = draw('svg', node, { class: 'line', viewBox: `0 0 ${SAMPLES - 1} 20`, preserveAspectRatio: 'none', 'aria-hidden': true });
    const area = draw('path', svg, { class: 'area' }), path = draw('path', svg, {});
    return (samples, top) => {
      let d = '', under = '', from = null;
      samples.forEach((v, i) => {
        const x = SAMPLES - samples.length + i;
        if (v === null) { from = null; return; }
        const at = `${x} ${(19 - 18 * Math.min(1, v / (top || 1))).toFixed(1)}`;
        d += (from === null ? 'M' : 'L') + at;
        under += from === null ? `M${x} 20L${at}` : `L${at}`;
        from = x;
        if (i === samples.length - 1 || samples[i + 1] === null) under += `L${x} 20Z`;
      });
      path.setAttribute('d', d);
      area.setAttribute('d', under);
    };
  };
  const push = (samples, v) => { samples.push(v); if (samples.length > SAMPLES) samples.shift(); };
  const highest = (lists, least) => lists.reduce((top, l) => l.reduce((a, v) => v > a ? v : a, top), least);

  // ---- tables ----

  const order = new Intl.Collator('en', { numeric: true }).compare;
  const weight = v => v === null || v === undefined ? -1 : Array.isArray(v) ? v.length
    : typeof v === 'object' ? Object.values(v).reduce((a, b) => a + b, 0) : v;
  const compare = (a, b) => typeof a === 'string' && typeof b === 'string' ? order(a, b)
    : typeof weight(a) === 'string' ? 1 : typeof weight(b) === 'string' ? -1 : weight(a) - weight(b);

  const tables = all('table[data-of]').map(table => {
    const of = table.dataset.of, body = table.tBodies[0], rows = new Map();
    const heads = all('thead th', table);
    const columns = heads.map(th => ({ key: th.dataset.key, look: th.classList[0], css: th.className }));
    const key = columns[0].key, filter = document.querySelector(`input[name=${of}]`);
    const count = document.querySelector(`[data-shown=${of}]`);
    let sorted = null, down = false, list = [];

    const sampled = row => row.columns.filter(c => c.samples);
    const add = item => {
      const tr = document.createElement('tr');
      const row = { tr, item, inView: true, columns: columns.map((c, i) => {
        const node = make(i ? 'td' : 'th', tr);
        if (!i) node.scope = 'row';
        node.className = c.css;
        const inner = !i && of === 'decisions' ? opener(node, tr, item) : node;
        return { ...c, set: cell(c.look, inner), samples: c.look === 'rate' || c.look === 'spark' ? [] : null };
      }) };
      tr.row = row;
      watcher.observe(tr);
      return row;
    };
    const sample = (row, item, seconds) => {
      for (const c of sampled(row)) {
        const was = row.item[c.key], is = item[c.key];
        if (c.look === 'spark') push(c.samples, is);
        else if (seconds && is >= was && row.item !== item) push(c.samples, (is - was) / seconds);
      }
      row.item = item;
    };
    const paint = tops => row => {
      row.columns.forEach((c, i) => c.samples ? row.inView && c.set(c.samples, tops[i]) : c.set(row.item[c.key]));
    };
    const watcher = new IntersectionObserver(seen => seen.forEach(e => { e.target.row.inView = e.isIntersecting; }), { rootMargin: '200px' });

    const arrange = () => {
      const words = (filter?.value ?? '').toLowerCase().split(/\s+/).filter(Boolean);
      let wanted = list.map(item => rows.get(item[key]));
      const total = wanted.length;
      if (sorted) {
        const sign = down ? -1 : 1, at = columns.indexOf(sorted);
        const value = row => sorted.look === 'rate' ? row.columns[at].samples.at(-1) : row.item[sorted.key];
        wanted.sort((a, b) => sign * compare(value(a), value(b)) || order(String(a.item[key]), String(b.item[key])));
      }
      if (words.length) wanted = wanted.filter(row => {
        const text = columns.map(c => looks[c.look] && row.item[c.key] !== null ? looks[c.look](row.item[c.key]) : '').join('\n').toLowerCase();
        return words.every(w => text.includes(w));
      });
      if (count) count.textContent = wanted.length < total ? `${wanted.length} of ${total}` : `${total}`;
      place(wanted);
    };
    // Only what is not where it belongs is moved: focus and selection stay.
    const place = wanted => {
      const stay = new Set(wanted.flatMap(row => [row.tr, row.detail]));
      for (const tr of [...body.children]) if (!stay.has(tr)) tr.remove();
      let at = body.firstElementChild;
      for (const row of wanted) for (const tr of [row.tr, row.detail]) {
        if (!tr) continue;
        if (tr === at) at = at.nextElementSibling;
        else body.insertBefore(tr, at);
      }
    };

    if (of !== 'decisions') heads.forEach((th, i) => {
      const button = make('button', null, th.textContent);
      button.type = 'button';
      th.replaceChildren(button);
      button.addEventListener('click', () => {
        const first = typeof list[0]?.[columns[i].key] !== 'string'; // numbers: the largest first
        down = sorted === columns[i] ? !down : first;
        sorted = columns[i];
        heads.forEach(h => h.removeAttribute('aria-sort'));
        th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        arrange();
      });
    });
    filter?.addEventListener('input', arrange);

    return (data, seconds) => {
      const gone = new Set(rows.keys());
      if (!data[of] || (of === 'decisions' && held())) return;
      list = data[of];
      for (const item of list) {
        const row = rows.get(item[key]) ?? add(item);
        rows.set(item[key], row);
        gone.delete(item[key]);
        sample(row, item, seconds);
      }
      for (const name of gone) { watcher.unobserve(rows.get(name).tr); rows.delete(name); }
      const kept = [...rows.values()];
      const tops = columns.map((c, i) => c.look === 'rate' || c.look === 'spark' ? highest(kept.map(r => r.columns[i].samples), .001) : 0);
      arrange();
      kept.forEach(paint(tops));
    };
  });

  const pairs = all('dl[data-of]').flatMap(dl => all('dd', dl).map(dd => {
    const set = cell(dd.dataset.look, dd), { key } = dd.dataset, { of } = dl.dataset;
    return data => {
      const from = of === 'head' ? data : data[of];
      if (!from) return;
      set(from[key]);
      dd.parentNode.classList.toggle('none', from[key] === null);
    };
  }));

  // ---- decisions: a row opens to what each step said; the list is held while one is read ----

  const decisions = document.getElementById('decisions'), hint = plain(document.getElementById('held'));
  const held = () => {
    const open = decisions.querySelector('[aria-expanded=true]');
    const hover = matchMedia('(hover: hover)').matches && decisions.querySelector('tbody')?.matches(':hover');
    const still = open || hover || decisions.querySelector('tbody')?.contains(document.activeElement);
    hint(still ? 'held while you read' : '\u00a0');
    return still;
  };
  const opener = (node, tr, item) => {
    const button = make('button', node);
    button.type = 'button';
    button.setAttribute('aria-expanded', false);
    button.addEventListener('click', async () => {
      const row = tr.row, open = !row.detail;
      button.setAttribute('aria-expanded', open);
      if (!open) { row.detail.remove(); row.detail = null; return; }
      row.detail = document.createElement('tr');
      row.detail.className = 'detail';
      const td = make('td', row.detail, 'asking \u2026');
      td.colSpan = tr.children.length;
      tr.after(row.detail);
      try {
        explain(td, await decision(item));
      } catch (e) {
        td.textContent = 'Its steps cannot be had: ' + e.message;
      }
    });
    return button;
  };
  const decision = async ({ number, id }) => {
    const { decisions: list } = await ask(`debug/decisions?since=${number - 1}&last=500${id ? '&id=' + encodeURIComponent(id) : ''}`);
    const found = list.find(d => d.number === number);
    if (!found) throw new Error('it is no longer remembered');
    return found;
  };
  const explain = (td, d) => {
    td.textContent = '';
    make('p', td, `Request ${d.request_id || DASH}, ${d.time}, ${d.critical ? 'critical' : 'not critical'}, priority ${d.priority}. `
      + (d.reason ?? (d.endpoint ? `Routed to ${d.endpoint}.` : '')));
    const table = (names, rows) => {
      if (!rows.length) return;
      const t = make('table', td), head = make('tr', make('thead', t)), body = make('tbody', t);
      names.forEach(name => { make('th', head, name).scope = 'col'; });
      for (const row of rows) {
        const tr = make('tr', body);
        row.forEach((v, i) => { make(i ? 'td' : 'th', tr, v).scope = 'row'; });
      }
    };
    table(['Step', 'Candidates', 'Left'], d.steps.map(s => [s.plugin, s.in, s.out || 'none: set aside']));
    table(['Endpoint', 'Out by', 'Waiting', 'Running', 'KV cache', 'In flight', 'Age'], d.endpoints.map(e => [e.name,
      e.dropped_by ?? (e.name === d.endpoint ? 'chosen' : DASH), e.waiting, e.running, shown('share', e.kv_cache), e.in_flight, shown('ms', e.age_ms)]));
  };

  // ---- the pool as a whole ----

  const totals = {
    requests: d => d.totals.requests,
    refused: d => Object.values(d.totals.refused).reduce((a, b) => a + b, 0),
  };
  const traffic = all('[data-line]').map(dd => {
    const samples = [], write = plain(make('span', dd)), set = line(dd), name = dd.dataset.line;
    let was = null;
    return (data, seconds) => {
      const is = totals[name](data);
      if (seconds && was !== null) push(samples, (is - was) / seconds);
      was = is;
      write(samples.length ? tenth(samples.at(-1)) : DASH);
      set(samples, highest([samples], .001));
    };
  });

  // ---- one request a second ----

  const alarm = plain(document.getElementById('alert')), ago = plain(document.querySelector('#live b'));
  let timer = 0, failures = 0, last = null, uptime = null, next = 0;

  const ask = async path => {
    const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    if (answer.status === 401 || answer.status === 403) throw new Error(`not allowed (${answer.status})`);
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.json();
  };
  const show = data => {
    const seconds = uptime !== null && data.uptime_seconds > uptime ? data.uptime_seconds - uptime : 0;
    uptime = data.uptime_seconds;
    for (const set of pairs) set(data);
    for (const update of [...tables, ...traffic]) update(data, seconds);
    document.title = `${data.ready ? '' : 'NOT READY \u2013 '}eppd ${data.pool.name ?? ''}`.trim();
  };
  const tick = async () => {
    timer = -1;
    try {
      show(await ask('debug/pool'));
      failures = 0;
      last = performance.now();
    } catch (e) {
      failures++;
      console.info(`eppd: ${e.message}`);
    }
    const wait = failures ? Math.min(30, 2 ** failures) : 1;
    document.documentElement.classList.toggle('lost', failures > 0);
    next = performance.now() + wait * 1000;
    timer = document.hidden ? 0 : setTimeout(tick, wait * 1000);
    clock();
  };
  const clock = () => {
    ago(last === null ? DASH : looks.s((performance.now() - last) / 1000));
    alarm(failures ? 'eppd does not answer: what is shown is old. Asked again each '
      + (failures < 5 ? 'few seconds.' : 'half minute.') : '');
  };
  setInterval(() => document.hidden || clock(), 1000);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden && timer > 0) { clearTimeout(timer); timer = 0; }
    else if (!document.hidden && timer === 0) tick();
  });
  tick();
})();
