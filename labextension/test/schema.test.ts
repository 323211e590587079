import { expect, test } from 'vitest';
import { forForm, said } from '../src/schema';

const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string', title: 'Name' },
    options: {
      type: 'object',
      properties: {
        port: { type: 'integer', default: 7337 },
        key: { type: 'boolean', default: true },
        conf: { type: 'object', default: {} },
        repositories: { type: 'array', items: { type: 'object', properties: { ttl: { type: 'integer', default: 60 } } } }
      }
    }
  }
} as const;

test('defaults are shown in empty fields, and not sent', () => {
  const { schema, uiSchema } = forForm(SCHEMA as never, {});
  expect(JSON.stringify(schema)).not.toContain('default');
  expect(uiSchema.options).toMatchObject({
    port: { 'ui:placeholder': '7337' },
    key: { 'ui:placeholder': 'Yes, by default', 'ui:widget': 'select' },
    repositories: { items: { ttl: { 'ui:placeholder': '60' } } }
  });
});

test('properties of any name can be added where none are named', () => {
  const { schema } = forForm(SCHEMA as never, {});
  expect(schema.properties!.options).toMatchObject({ properties: { conf: { additionalProperties: { type: 'string' } } } });
});

test('only what was filled in is sent', () => {
  const filled = { name: 'one', size: undefined, options: { key: false, conf: {}, repositories: [], image: { name: {} } } };
  expect(said(filled as never)).toEqual({ name: 'one', options: { key: false } });
});
