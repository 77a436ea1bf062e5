// A site's page rules, answered from the file that sitewright.router.rules.compile made. njs runs it for channels that have rules only.
//
// The file is a table of hashes: only the few records that a path asks for are read, so a request costs the same with one rule and with a
// thousand. Nothing in it is code or a pattern language. Whatever is wrong with it, the request goes on as if there were no rules.
import fs from 'fs';

const HEAD = 16, FIRST = 4096, MOST_NODES = 16, MOST_HEADERS = 60, MOST_HEADER_BYTES = 12288, LONGEST_PATH = 4096, BETWEEN = '\x1f';
const HIDDEN = /\/\.(?!well-known(?:\/|$))|\.(?:php[0-9]?|phtml|phar|phps)(?:\/|$)/i;

// The table in an open file; its first 4 KiB are read at once, and most files have no more.
function open(path) {
    const file = fs.openSync(path, 'r');
    const first = Buffer.alloc(FIRST);
    fs.readSync(file, first, 0, FIRST, 0);
    return { file: file, first: first, seed: first.readUInt32LE(4), mask: first.readUInt32LE(8) - 1, size: first.readUInt32LE(12) };
}

function bytes(table, from, length) {
    if (from + length > table.size || length < 0) {
        throw new Error('rules file is cut');
    }
    if (from + length <= FIRST) {
        return table.first.slice(from, from + length);
    }
    const part = Buffer.alloc(length);
    fs.readSync(table.file, part, 0, length, from);
    return part;
}

function find(table, key) {
    let hash = (2166136261 ^ table.seed) >>> 0;
    for (let at = 0; at < key.length; at++) {
        hash = Math.imul(hash ^ key.charCodeAt(at), 16777619) >>> 0;
    }
    const place = bytes(table, HEAD + 4 * (hash & table.mask), 8);
    const from = place.readUInt32LE(0), to = place.readUInt32LE(4);
    if (from === to) {
        return undefined;
    }
    const text = bytes(table, from, to - from).toString(), start = text.indexOf('\n' + key + '\t');
    return start < 0 ? undefined : text.slice(start + key.length + 2, text.indexOf('\n', start + 1));
}

function node(table, key) {
    const text = find(table, key);
    if (text === undefined) {
        return undefined;
    }
    const parts = text.split('|');
    return { id: parts[0], ends: parts[1], rests: parts[2], has: parts[3], missing: parts[4] };
}

// Every rule that the path matches: numbers of redirects, and of headers.
function matching(table, root, segments) {
    const found = { r: [], h: [] };
    const last = segments.length ? segments[segments.length - 1] : '';
    const dot = last.lastIndexOf('.');
    const ending = dot < 0 ? '' : encodeURIComponent(last.slice(dot + 1));
    function take(list) {
        if (list) {
            list.split(',').forEach((one) => { found[one[0]].push(Number(one.slice(1))); });
        }
    }
    let nodes = [root];
    for (let depth = 0; nodes.length; depth++) {
        const next = [];
        nodes.forEach((here) => {
            take(here.rests);
            if (depth < segments.length && ending && here.has.indexOf('x') >= 0) {
                take(find(table, here.id + '*' + ending));
            }
            if (depth === segments.length) {
                take(here.ends);
                return;
            }
            const below = here.has.indexOf('l') < 0 ? undefined : node(table, here.id + '/' + encodeURIComponent(segments[depth]));
            const any = here.has.indexOf('a') < 0 ? undefined : node(table, here.id + ':');
            [below, any].forEach((one) => {
                if (one && next.length < MOST_NODES) {
                    next.push(one);
                }
            });
        });
        nodes = next;
    }
    return found;
}

function ascending(one, other) {
    return one - other;
}

function decoded(text) {
    try {
        return decodeURIComponent(text.replace(/\+/g, ' '));
    } catch (e) {
        return text;
    }
}

// Query parameters, in order: name, value, and how they were written.
function parameters(args) {
    return args.split('&').filter((one) => one).slice(0, 100).map((written) => {
        const equals = written.indexOf('=');
        return equals < 0
            ? { name: decoded(written), value: '', written: written }
            : { name: decoded(written.slice(0, equals)), value: decoded(written.slice(equals + 1)), written: written };
    });
}

// What the rule's query takes from the address; undefined when something is not there.
function taken(rule, given) {
    const values = {};
    for (let at = 0; at < rule.q.length; at++) {
        const name = rule.q[at][0], wanted = rule.q[at][1];
        const there = given.find((one) => one.name === name);
        if (!there || (wanted[0] !== ':' && there.value !== wanted)) {
            return undefined;
        }
        if (wanted[0] === ':') {
            values[wanted.slice(1)] = there.value;
        }
    }
    return values;
}

function filled(rule, segments, values, encode) {
    let text = '';
    rule.t.forEach((part, number) => {
        if (number % 2 === 0) {
            text += part;
        } else if (part === 'splat' && rule.w >= 0) {
            text += segments.slice(rule.w).map(encode).join('/');
        } else if (rule.n[part] !== undefined) {
            text += encode(segments[rule.n[part]]);
        } else if (values[part] !== undefined) {
            text += encode(values[part]);
        }
    });
    return text;
}

function asWritten(text) {
    return text;
}

// The file below the served folder that a target names, '' when it may not be shown.
function fileOf(target) {
    const question = target.indexOf('?');
    const path = (question < 0 ? target : target.slice(0, question)).replace(/\/{2,}/g, '/');
    const bad = path[0] !== '/' || path.length > LONGEST_PATH || HIDDEN.test(path) || /\/\.{1,2}(?:\/|$)|[\x00-\x1f]/.test(path);
    return bad ? '' : path.endsWith('/') ? path + 'index.html' : path;
}

function addressOf(rule, target, given, args) {
    let address = target;
    if (!rule.e) {
        const question = target.indexOf('?');
        const path = question < 0 ? target : target.slice(0, question);
        address = path.replace(/\/{2,}/g, '/') + (question < 0 ? '' : target.slice(question));
    }
    const hash = address.indexOf('#');
    const fragment = hash < 0 ? '' : address.slice(hash);
    const bare = hash < 0 ? address : address.slice(0, hash);
    if (!args || bare.indexOf('?') >= 0) {
        return bare + fragment;
    }
    const named = rule.q.map((pair) => pair[0]);
    const rest = named.length ? given.filter((one) => named.indexOf(one.name) < 0).map((one) => one.written).join('&') : args;
    return bare + (rest ? '?' + rest : '') + fragment;
}

// The path as the visitor means it: without the name that stands for a folder, and without a slash at its end.
function segmentsOf(r) {
    const raw = r.variables.request_uri.split('?')[0];
    let path = r.uri;
    if (path.endsWith('/index.html') && !raw.endsWith('index.html')) {
        path = path.slice(0, -10);
    }
    return path.split('/').filter((part) => part);
}

function chosen(r, table, numbers, segments) {
    const args = r.variables.args || '';
    const given = args ? parameters(args) : [];
    numbers.sort(ascending);
    for (let at = 0; at < numbers.length; at++) {
        const rule = JSON.parse(find(table, 'r' + numbers[at]));
        const values = taken(rule, given);
        if (values !== undefined) {
            const onward = rule.s >= 300 && rule.s < 400;
            const address = addressOf(rule, filled(rule, segments, values, encodeURIComponent), given, args);
            if (onward && !rule.e && address === r.variables.request_uri) {
                return undefined;
            }
            return { status: rule.s, force: rule.f, onward: onward, address: address, file: onward ? '' : fileOf(filled(rule, segments, values, asWritten)) };
        }
    }
    return undefined;
}

// Headers of matching rules, names and values in turns; the later one of a name wins, an empty one takes it away.
function headersOf(r, table, numbers) {
    const places = {}, kept = [];
    numbers.sort(ascending).forEach((number) => {
        const texts = find(table, 'h' + number).split(BETWEEN);
        for (let at = 0; at + 1 < texts.length; at += 2) {
            const name = texts[at].toLowerCase();
            if (places[name] === undefined) {
                places[name] = kept.push(texts[at], texts[at + 1]) - 1;
            } else {
                kept[places[name]] = texts[at + 1];
            }
        }
    });
    let sent = '';
    for (let at = 0; at < kept.length && at < 2 * MOST_HEADERS; at += 2) {
        const piece = kept[at] + BETWEEN + kept[at + 1] + BETWEEN;
        if (kept[at + 1] && sent.length + piece.length <= MOST_HEADER_BYTES) {
            sent += piece;
        }
    }
    if (sent) {
        r.variables.rule_headers = sent;
        r.variables.file_life = kept[places['cache-control']] ? '' : 'no-cache';
    }
}

// What answers at this channel, as the policy spells it. nginx keeps what it read first: when the route has changed since, it is read anew.
function kindOf(r) {
    const kept = r.variables.policy;
    if (kept) {
        return kept;
    }
    try {
        const path = fs.realpathSync(r.variables.rules_path.slice(0, -5) + 'policy');
        return path.slice(path.lastIndexOf('/') + 1).split('.')[0];
    } catch (e) {
        return '';
    }
}

function filesAlone(kind) {
    return kind === 'static' || kind === 'loose';
}

// Where the request goes on without a rule.
function onward(r, kind) {
    if (kind === '') {
        // The rules have gone since nginx saw them: it looks again. Hidden files are shown to nobody meanwhile.
        return HIDDEN.test(r.uri) ? 'absent' : 'other';
    }
    if (filesAlone(kind)) {
        const shown = kind === 'static' ? 'ruled_plain' : 'ruled_static';
        return r.method === 'GET' || r.method === 'HEAD' ? (HIDDEN.test(r.uri) ? 'absent' : shown) : 'refused';
    }
    r.variables.ruled_next = (kind === 'asleep' ? 'wake_' : 'kept_') + r.variables.kept_lane;
    return kind !== 'app' && r.variables.files_or_lane === 'mixed' ? 'ruled_mixed' : r.variables.ruled_next;
}

function apply(r, kind, plain, rule) {
    const files = plain.startsWith('ruled_');
    r.variables.rule_target = rule.address;
    r.variables.rule_status = String(rule.status);
    if (rule.onward) {
        r.variables.ruled_next = 'rule_send';
        return rule.force || !files ? 'rule_send' : plain;
    }
    r.variables.rule_file = rule.file;
    if (rule.status !== 200) {
        r.variables.ruled_next = 'rule_missing';
        return (rule.force || !files) && plain !== 'refused' ? 'rule_missing' : plain;
    }
    if (filesAlone(kind)) {
        r.variables.ruled_next = 'rule_file';
        return rule.force || plain === 'absent' ? 'rule_file' : plain;
    }
    r.variables.app_uri = rule.address;
    r.variables.rule_second = rule.file;
    return plain === 'ruled_mixed' && rule.force ? 'rule_first' : plain;
}

// The name of the location that the request goes on to.
function decide(r) {
    const kind = kindOf(r);
    const plain = onward(r, kind);
    if (kind === '' || r.uri.length > LONGEST_PATH) {
        return plain;
    }
    let table;
    try {
        table = open(r.variables.rules_path);
        const root = node(table, '/');
        const segments = segmentsOf(r);
        const found = matching(table, root, segments);
        if (root.missing) {
            r.variables.not_found_file = '/' + decodeURIComponent(root.missing);
        }
        headersOf(r, table, found.h);
        const rule = found.r.length ? chosen(r, table, found.r, segments) : undefined;
        return rule ? apply(r, kind, plain, rule) : plain;
    } catch (e) {
        return plain;
    } finally {
        if (table) {
            fs.closeSync(table.file);
        }
    }
}

// The answer's own headers, once its head is known.
function headers(r) {
    const own = r.headersOut, texts = r.variables.rule_headers.split(BETWEEN);
    for (let at = 0; at + 1 < texts.length; at += 2) {
        const name = texts[at], value = texts[at + 1], lower = name.toLowerCase();
        if (lower === 'set-cookie') {
            own[name] = (own[name] || []).concat([value]);
        } else if (lower !== 'cache-control' || own[name] === undefined) {
            own[name] = value;
        }
    }
}

export default { decide, headers };
