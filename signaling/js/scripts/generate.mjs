// Makes `src/protocol/` from the JSON Schema that the `signaling` crate prints.
//
//   node scripts/generate.mjs                 writes the files
//   node scripts/generate.mjs --check         fails where they differ from the schema
//   node scripts/generate.mjs --schema FILE   reads the schema from a file instead of from cargo
//
// It knows just as much of JSON Schema as that crate uses, and stops at anything else: a type that
// is silently wrong costs more than a script that has to learn a word.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const REPOSITORY = join(ROOT, '..', '..');
const TARGET = join(ROOT, 'src', 'protocol');
const REF = '#/$defs/';
const BANNER = `// Generated from the schema of the \`signaling\` crate by scripts/generate.mjs. Do not edit.\n`;

/** Definitions that no request or notification names but the SDK needs. */
const EXTRA = ['DataHeader', 'ErrorType', 'RpcError'];

function readSchema(args) {
  const at = args.indexOf('--schema');
  if (at >= 0) return JSON.parse(readFileSync(args[at + 1], 'utf8'));
  const cargo = ['run', '--quiet', '--package', 'signaling', '--bin', 'signaling-schema'];
  return JSON.parse(execFileSync('cargo', cargo, { cwd: REPOSITORY, encoding: 'utf8' }));
}

const nameOf = (ref) => ref.slice(REF.length);

/** The names of the definitions that a schema leads to. */
function reach(schema, definitions, into = new Set()) {
  if (Array.isArray(schema)) {
    for (const item of schema) reach(item, definitions, into);
  } else if (schema !== null && typeof schema === 'object') {
    const name = typeof schema.$ref === 'string' ? nameOf(schema.$ref) : undefined;
    if (name !== undefined && !into.has(name)) {
      into.add(name);
      reach(definitions[name], definitions, into);
    }
    for (const value of Object.values(schema)) reach(value, definitions, into);
  }
  return into;
}

function comment(text, indent) {
  if (!text) return '';
  const lines = text.trim().split('\n');
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  const body = lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n');
  return `${indent}/**\n${body}\n${indent} */\n`;
}

const PRIMITIVES = {
  string: 'string',
  integer: 'number',
  number: 'number',
  boolean: 'boolean',
  null: 'null',
};

/** The TypeScript of a schema. `used` collects the names it mentions. */
function typeOf(schema, used, indent = '') {
  if (schema === true || Object.keys(schema).every((key) => ['description', 'default'].includes(key))) {
    return 'unknown';
  }
  if (schema.$ref) {
    used.add(nameOf(schema.$ref));
    return nameOf(schema.$ref);
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return [...new Set(choices.map((one) => typeOf(one, used, indent)))].join(' | ');
  if (Array.isArray(schema.type)) {
    return schema.type.map((type) => typeOf({ ...schema, type }, used, indent)).join(' | ');
  }
  if (schema.type === 'array') return arrayOf(schema, used, indent);
  if (schema.type === 'object') return objectOf(schema, used, indent);
  const primitive = PRIMITIVES[schema.type];
  if (!primitive) throw new Error(`cannot read ${JSON.stringify(schema)}`);
  return primitive;
}

function arrayOf(schema, used, indent) {
  if (schema.prefixItems) {
    return `[${schema.prefixItems.map((item) => typeOf(item, used, indent)).join(', ')}]`;
  }
  const item = typeOf(schema.items, used, indent);
  if (schema.minItems !== undefined && schema.minItems === schema.maxItems) {
    return `[${Array(schema.minItems).fill(item).join(', ')}]`;
  }
  return item.includes(' ') ? `(${item})[]` : `${item}[]`;
}

function objectOf(schema, used, indent) {
  const entries = Object.entries(schema.properties ?? {});
  if (entries.length === 0) {
    const values = schema.additionalProperties;
    const known = values !== undefined && values !== false && values !== true;
    return known ? `Record<string, ${typeOf(values, used, indent)}>` : 'Record<string, never>';
  }
  const inner = `${indent}  `;
  const required = new Set(schema.required ?? []);
  const fields = entries.map(([name, value]) => {
    const mark = required.has(name) ? '' : '?';
    const type = typeOf(value, used, inner);
    return `${comment(value.description, inner)}${inner}${name}${mark}: ${type};\n`;
  });
  return `{\n${fields.join('')}${indent}}`;
}

function declaration(name, schema, used) {
  const head = comment(schema.description, '');
  const words = schema.oneOf?.every((one) => one.const !== undefined);
  if (words) {
    const lines = schema.oneOf.map((one) => {
      return `${comment(one.description, '  ')}  | ${JSON.stringify(one.const)}`;
    });
    return `${head}export type ${name} =\n${lines.join('\n')};\n`;
  }
  const type = typeOf(schema, used);
  return type.startsWith('{')
    ? `${head}export interface ${name} ${type}\n`
    : `${head}export type ${name} = ${type};\n`;
}

/** One file: declarations, preceded by what they import from the files before it. */
function file(names, definitions, home, self, tail = () => '') {
  const used = new Set();
  const body = names.map((name) => declaration(name, definitions[name], used));
  const end = tail(used);
  const imports = new Map();
  for (const name of [...used].sort()) {
    const from = home.get(name);
    if (from !== self) imports.set(from, [...(imports.get(from) ?? []), name]);
  }
  const head = [...imports].map(
    ([from, list]) => `import type {\n${list.map((n) => `  ${n},\n`).join('')}} from './${from}.js';\n`,
  );
  return [BANNER, ...head, ...body, end].filter(Boolean).join('\n');
}

function methodTable(schema) {
  return (used) => {
    const rows = Object.entries(schema.methods).map(([name, { params, result }]) => {
      const types = `params: ${typeOf(params, used)}; result: ${typeOf(result, used)}`;
      return `  ${name}: { ${types} };\n`;
    });
    return `/** Every request: what it takes and what comes of it. */\nexport interface Methods {\n${rows.join('')}}\n`;
  };
}

function notificationTable(schema) {
  return (used) => {
    const rows = Object.entries(schema.notifications).map(
      ([name, { params }]) => `  ${name}: ${typeOf(params, used)};\n`,
    );
    return `/** Every notification and what it carries. */\nexport interface Notifications {\n${rows.join('')}}\n`;
  };
}

function generate(schema) {
  const definitions = schema.$defs;
  const fromMethods = reach(schema.methods, definitions);
  const fromNotifications = reach(schema.notifications, definitions);
  const shared = reach(EXTRA.map((name) => ({ $ref: REF + name })), definitions);
  for (const name of fromMethods) if (fromNotifications.has(name)) shared.add(name);
  for (const name of [...shared]) reach(definitions[name], definitions, shared);
  for (const name of [...fromMethods, ...fromNotifications]) {
    if (!/(Params|Result|Notice)$/.test(name)) shared.add(name);
  }
  const home = new Map();
  for (const name of fromMethods) home.set(name, 'methods');
  for (const name of fromNotifications) home.set(name, 'notifications');
  for (const name of shared) home.set(name, 'types');
  const at = (place) => [...home].filter(([, where]) => where === place).map(([name]) => name).sort();
  const version = JSON.stringify(schema.version);
  return {
    'types.ts': file(at('types'), definitions, home, 'types'),
    'methods.ts': file(at('methods'), definitions, home, 'methods', methodTable(schema)),
    'notifications.ts': file(
      at('notifications'),
      definitions,
      home,
      'notifications',
      notificationTable(schema),
    ),
    'index.ts':
      `${BANNER}\nexport type * from './types.js';\nexport type * from './methods.js';\n` +
      `export type * from './notifications.js';\n\n` +
      `/** The WebSocket subprotocol that names this version. */\n` +
      `export const SUBPROTOCOL = ${version};\n`,
  };
}

const files = generate(readSchema(process.argv));
if (process.argv.includes('--check')) {
  const drifted = Object.entries(files).filter(([name, text]) => {
    const path = join(TARGET, name);
    return !existsSync(path) || readFileSync(path, 'utf8') !== text;
  });
  for (const [name] of drifted) console.error(`src/protocol/${name} differs: npm run types`);
  process.exitCode = drifted.length > 0 ? 1 : 0;
} else {
  mkdirSync(TARGET, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(TARGET, name), text);
}
