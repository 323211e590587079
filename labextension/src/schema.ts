import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { RJSFSchema, UiSchema } from '@rjsf/utils';

type Ui = UiSchema<ReadonlyJSONObject>;

/**
 * Makes a form's schemas of that of a declaration.
 *
 * A default is shown in the empty field and not sent, so that it stays the role's: what is not said follows the role when that
 * changes.
 */
export function forForm(schema: RJSFSchema, ui: Ui): { schema: RJSFSchema; uiSchema: Ui } {
  const found = split(schema);
  return { schema: found.schema, uiSchema: { ...found.uiSchema, ...ui } };
}

function split(schema: RJSFSchema): { schema: RJSFSchema; uiSchema: Ui } {
  const { default: standard, ...rest } = schema;
  const uiSchema: Ui = {};
  if (rest.type === 'boolean') {
    // A box that is not ticked would say no; this says yes, no, or nothing.
    uiSchema['ui:widget'] = 'select';
    uiSchema['ui:placeholder'] = standard ? 'Yes, by default' : 'No, by default';
  } else if (rest.enum) {
    uiSchema['ui:placeholder'] = `${standard}, by default`;
  } else if (standard !== undefined && standard !== '' && typeof standard !== 'object') {
    uiSchema['ui:placeholder'] = String(standard);
  }
  if (rest.type === 'object' && !rest.properties) {
    rest.additionalProperties = { type: 'string' };
  }
  if (rest.properties) {
    const entries = Object.entries(rest.properties).map(([name, value]) => [name, split(value as RJSFSchema)] as const);
    rest.properties = Object.fromEntries(entries.map(([name, parts]) => [name, parts.schema]));
    entries.forEach(([name, parts]) => (uiSchema[name] = parts.uiSchema));
  }
  if (rest.items) {
    const parts = split(rest.items as RJSFSchema);
    rest.items = parts.schema;
    uiSchema.items = parts.uiSchema;
    uiSchema['ui:options'] = { orderable: false };
  }
  return { schema: rest, uiSchema };
}

/** What was filled in, without the empty objects and lists that a form makes of what was not. */
export function said(value: ReadonlyJSONObject): ReadonlyJSONObject {
  const entries = Object.entries(value).map(([name, item]) => [name, isObject(item) ? said(item) : item] as const);
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined && !isEmpty(item)));
}

function isObject(value: unknown): value is ReadonlyJSONObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}
