import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { FieldTemplateProps, IconButtonProps, ObjectFieldTemplateProps, RJSFSchema } from '@rjsf/utils';

/** A field of the form. JupyterLab's own has no label element, so that a screen reader finds no name for the input. */
export function Field(props: FieldTemplateProps<ReadonlyJSONObject>): JSX.Element {
  const { id, label, required, displayLabel, schema, rawErrors, children } = props;
  if (schema.type === 'object' && schema.properties) {
    return <>{children}</>;
  }
  return (
    <div className="astrok8s-field">
      {(displayLabel || schema.type === 'boolean') && (
        <label htmlFor={id}>
          {label}
          {required && <span aria-hidden="true"> *</span>}
        </label>
      )}
      {children}
      {schema.description && (
        <div className="astrok8s-hint" id={`${id}__description`}>
          {schema.description}
        </div>
      )}
      {rawErrors?.map(error => (
        <div className="astrok8s-wrong" id={`${id}__error`} key={error}>
          {error}
        </div>
      ))}
    </div>
  );
}

/** The fields of an object: the basic ones first, the others folded, in groups by their roles. */
export function Groups(props: ObjectFieldTemplateProps<ReadonlyJSONObject>): JSX.Element {
  const said = (name: string) => (props.schema.properties?.[name] ?? {}) as RJSFSchema & { group?: string; basic?: boolean };
  const advanced = new Map<string, JSX.Element[]>();
  const basic: JSX.Element[] = [];
  for (const { name, content } of props.properties) {
    const { group, basic: isBasic } = said(name);
    if (!group || isBasic) {
      basic.push(content);
    } else {
      advanced.set(group, [...(advanced.get(group) ?? []), content]);
    }
  }
  return (
    <>
      {basic}
      {advanced.size > 0 && (
        <details className="astrok8s-advanced">
          <summary>Advanced</summary>
          {[...advanced].map(([group, fields]) => (
            <fieldset key={group}>
              <legend>{group}</legend>
              {fields}
            </fieldset>
          ))}
        </details>
      )}
    </>
  );
}

/** The buttons of lists, which have icons of another toolkit by default. */
export const buttons = { AddButton: listButton('Add'), RemoveButton: listButton('Remove') };

function listButton(label: string) {
  return (props: IconButtonProps<ReadonlyJSONObject>) => (
    <button type="button" className="jp-mod-styled" onClick={props.onClick} disabled={props.disabled}>
      {label}
    </button>
  );
}
