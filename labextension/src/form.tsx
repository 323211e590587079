import { FormComponent, ReactWidget } from '@jupyterlab/ui-components';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { RJSFSchema, UiSchema } from '@rjsf/utils';
import { customizeValidator } from '@rjsf/validator-ajv8';
import { useEffect, useMemo, useRef, useState } from 'react';
import { Alert } from './alert';
import type { Api } from './api';
import { Field, Groups, buttons } from './field';
import { clusterIcon } from './icon';
import { Refusal } from './refusal';
import { forForm, said } from './schema';
import type { IError, IVerdict } from './types';

const validator = customizeValidator<ReadonlyJSONObject>();
const UI: UiSchema<ReadonlyJSONObject> = { 'ui:submitButtonOptions': { norender: true } };
const TEMPLATES = {
  FieldTemplate: Field,
  ObjectFieldTemplate: Groups,
  DescriptionFieldTemplate: () => null,
  ButtonTemplates: buttons
};

/** Asks what a new cluster is to be like, in a tab of the main area. */
export class ClusterForm extends ReactWidget {
  /**
   * @param api - the server's routes.
   * @param schema - what can be said about a cluster.
   * @param initial - what is filled in already.
   * @param onDone - called when it was declared, or is not to be.
   */
  constructor(
    private readonly api: Api,
    private readonly schema: RJSFSchema,
    private readonly initial: ReadonlyJSONObject,
    private readonly onDone: () => void
  ) {
    super();
    this.addClass('astrok8s-form');
    this.title.label = 'New cluster';
    this.title.icon = clusterIcon;
  }

  protected override onActivateRequest(): void {
    this.node.querySelector('input')?.focus();
  }

  protected override render(): JSX.Element {
    return <Form api={this.api} schema={this.schema} initial={this.initial} onDone={this.onDone} />;
  }
}

interface IFormProps {
  api: Api;
  schema: RJSFSchema;
  initial: ReadonlyJSONObject;
  onDone: () => void;
}

function Form(props: IFormProps): JSX.Element {
  const [values, setValues] = useState(props.initial);
  const [error, setError] = useState<IError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const end = useRef<HTMLDivElement>(null);
  // The tab may have been activated before there was a field to begin with.
  useEffect(() => end.current?.closest('form')?.querySelector('input')?.focus(), []);
  const shown = useMemo(() => forForm(props.schema, UI), [props.schema]);
  const submit = async () => {
    setBusy(true);
    try {
      await props.api.declare(values);
      props.onDone();
    } catch (reason) {
      setError(Refusal.of(reason));
      setBusy(false);
    }
  };
  return (
    <FormComponent
      schema={shown.schema}
      uiSchema={shown.uiSchema}
      validator={validator}
      formData={values}
      idPrefix="astrok8s"
      templates={TEMPLATES}
      showErrorList={false}
      onChange={event => setValues(said(event.formData as ReadonlyJSONObject))}
      onSubmit={() => void submit()}
    >
      <Verdict api={props.api} values={values} />
      {error && <Alert error={error} />}
      <div className="astrok8s-buttons" ref={end}>
        <button type="button" className="jp-mod-styled" onClick={props.onDone}>
          Close
        </button>
        <button type="submit" className="jp-mod-styled jp-mod-accept" disabled={isBusy}>
          Create
        </button>
      </div>
    </FormComponent>
  );
}

/** What the cloud says to what is declared, as soon as nobody types. */
function Verdict(props: { api: Api; values: ReadonlyJSONObject }): JSX.Element {
  const [verdict, setVerdict] = useState<IVerdict | IError | null>(null);
  useEffect(() => {
    setVerdict(null);
    if (!props.values.name) {
      return;
    }
    const over = new AbortController();
    const timer = setTimeout(() => {
      props.api.preflight(props.values, over.signal).then(
        found => over.signal.aborted || setVerdict(found),
        reason => over.signal.aborted || setVerdict(Refusal.of(reason))
      );
    }, 700);
    return () => {
      clearTimeout(timer);
      over.abort();
    };
  }, [props.values]);
  return (
    <div className="astrok8s-verdict" role="status">
      {verdict && <Told verdict={verdict} />}
      {!verdict && props.values.name && <span className="astrok8s-hint">Asking the cloud whether it can …</span>}
    </div>
  );
}

function Told({ verdict }: { verdict: IVerdict | IError }): JSX.Element {
  if ('fact' in verdict) {
    return <Alert error={verdict} />;
  }
  const wrong = Object.values(verdict.wrong);
  if (wrong.length) {
    return (
      <>
        {wrong.map(fact => (
          <Alert key={fact} error={{ fact, remedy: '' }} />
        ))}
      </>
    );
  }
  return <span>The cloud can make it: {verdict.found.quota ?? 'it has what is needed'}.</span>;
}
