import { Dialog, showDialog } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import { useState } from 'react';
import { Alert } from '../alert';
import type { IAccess, IBundle, IError } from '../types';
import { offered } from './bundles';
import type { IChoice, Mode } from './choice';
import { known } from './properties';

const MODES: Record<Mode, string> = {
  connect: "The driver is the cluster's server of Spark Connect. Only the Kubernetes API need be reached.",
  client: 'The driver is this notebook, for what needs a SparkContext. It and the cluster must reach each other.'
};

// No name of a cluster begins so.
const SHARED = ':';

/** What a choice of the list says. A shared cluster has room for Spark Connect alone. */
function chosen(value: string, accesses: IAccess[]): Partial<IChoice> {
  const access = accesses.find(({ id }) => SHARED + id === value);
  return access ? { cluster: access.cluster, access: access.id, mode: 'connect' } : { cluster: value, access: '' };
}

interface IOffer {
  /** The names of those that are ready. */
  clusters: string[];
  /** Those to clusters of others that have not ended. */
  accesses: IAccess[];
  bundles: IBundle[];
  /** Why the notebook is not attached, if that failed. */
  error: IError | null;
}

/** Asks how a notebook is to be attached; null if it is not to be. */
export async function ask(offer: IOffer, choice: IChoice): Promise<IChoice | null> {
  const result = await showDialog({
    title: 'Attach to a cluster',
    body: new Form(offer, choice),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Attach' })],
    focusNodeSelector: 'select'
  });
  return result.button.accept ? result.value : null;
}

class Form extends ReactWidget implements Dialog.IBodyWidget<IChoice> {
  constructor(
    private readonly offer: IOffer,
    private choice: IChoice
  ) {
    super();
    this.addClass('astrok8s-attach');
  }

  getValue(): IChoice {
    return this.choice;
  }

  protected override render(): JSX.Element {
    return <Fields offer={this.offer} choice={this.choice} onChange={choice => (this.choice = choice)} />;
  }
}

function Fields(props: { offer: IOffer; choice: IChoice; onChange: (choice: IChoice) => void }): JSX.Element {
  const { clusters, accesses, bundles, error } = props.offer;
  const [choice, setChoice] = useState(props.choice);
  const change = (part: Partial<IChoice>) => {
    const changed = { ...choice, ...part };
    setChoice(changed);
    props.onChange(changed);
  };
  return (
    <>
      {error && <Alert error={error} />}
      <div className="astrok8s-field">
        <label htmlFor="astrok8s-cluster">Cluster</label>
        <select
          id="astrok8s-cluster"
          value={choice.access ? SHARED + choice.access : choice.cluster}
          onChange={event => change(chosen(event.target.value, accesses))}
        >
          {clusters.map(name => (
            <option key={name}>{name}</option>
          ))}
          {accesses.length > 0 && (
            <optgroup label="Shared with me">
              {accesses.map(({ id, cluster, namespace }) => (
                <option key={id} value={SHARED + id}>
                  {cluster}, as {namespace}
                </option>
              ))}
            </optgroup>
          )}
        </select>
      </div>
      <fieldset>
        <legend>Mode</legend>
        {(Object.keys(MODES) as Mode[]).map(mode => (
          <Tick
            key={mode}
            type="radio"
            name={mode}
            hint={MODES[mode]}
            isOn={choice.mode === mode}
            isOff={!!choice.access && mode === 'client'}
            onChange={() => change({ mode })}
          />
        ))}
      </fieldset>
      <Bundles bundles={offered(bundles, choice)} chosen={choice.bundles} onChange={names => change({ bundles: names })} />
      <Properties mode={choice.mode} conf={props.choice.conf} onChange={conf => change({ conf })} />
      <div className="astrok8s-field">
        <label htmlFor="astrok8s-environment">Packages of executors</label>
        <input
          id="astrok8s-environment"
          aria-describedby="astrok8s-environment-hint"
          list="astrok8s-environments"
          placeholder="those of the image"
          defaultValue={choice.environment}
          onChange={event => change({ environment: event.target.value.trim() })}
        />
        <datalist id="astrok8s-environments">
          <option value="here">those of this notebook</option>
          <option value="requirements.txt">those of a file</option>
        </datalist>
        <div className="astrok8s-hint" id="astrok8s-environment-hint">
          “here” for those of this notebook, a file of requirements, or a folder below /cvmfs with Python in it.
        </div>
      </div>
    </>
  );
}

function Bundles(props: { bundles: IBundle[]; chosen: string[]; onChange: (names: string[]) => void }): JSX.Element | null {
  const { bundles, chosen, onChange } = props;
  if (!bundles.length) {
    return null;
  }
  return (
    <fieldset>
      <legend>Bundles of properties</legend>
      {bundles.map(({ name, description, conf }) => {
        const isOn = chosen.includes(name);
        const others = chosen.filter(other => other !== name);
        const hint = `${description} ${Object.entries(conf)
          .map(pair => pair.join('='))
          .join(', ')}`.trim();
        return (
          <Tick
            key={name}
            type="checkbox"
            name={name}
            hint={hint}
            isOn={isOn}
            isOff={false}
            onChange={() => onChange(isOn ? others : [...others, name])}
          />
        );
      })}
    </fieldset>
  );
}

function Tick(props: {
  type: 'radio' | 'checkbox';
  name: string;
  hint: string;
  isOn: boolean;
  isOff: boolean;
  onChange: () => void;
}): JSX.Element {
  const id = `astrok8s-${props.type}-${props.name}`;
  return (
    <div className="astrok8s-tick">
      <input
        type={props.type}
        id={id}
        name={`astrok8s-${props.type}`}
        aria-describedby={`${id}-hint`}
        checked={props.isOn}
        disabled={props.isOff}
        onChange={props.onChange}
      />
      <label htmlFor={id}>{props.name}</label>
      <div className="astrok8s-hint" id={`${id}-hint`}>
        {props.hint}
      </div>
    </div>
  );
}

/** Lines of name and value; there is always an empty one more. */
function Properties(props: {
  mode: Mode;
  conf: Record<string, string>;
  onChange: (conf: Record<string, string>) => void;
}): JSX.Element {
  const [lines, setLines] = useState<[string, string][]>(() => [...Object.entries(props.conf), ['', '']]);
  const change = (at: number, line: [string, string]) => {
    const changed = lines.map((old, index) => (index === at ? line : old));
    if (changed.at(-1)![0]) {
      changed.push(['', '']);
    }
    setLines(changed);
    props.onChange(Object.fromEntries(changed.filter(([name]) => name.trim()).map(([name, value]) => [name.trim(), value])));
  };
  return (
    <fieldset>
      <legend>Properties of Spark</legend>
      {lines.map(([name, value], at) => (
        <div className="astrok8s-field astrok8s-property" key={at}>
          <input
            aria-label={`Name of property ${at + 1}`}
            list="astrok8s-properties"
            placeholder="spark.…"
            value={name}
            onChange={event => change(at, [event.target.value, value])}
          />
          <input
            aria-label={`Value of property ${at + 1}`}
            placeholder="value"
            value={value}
            onChange={event => change(at, [name, event.target.value])}
          />
        </div>
      ))}
      <datalist id="astrok8s-properties">
        {known(props.mode).map(name => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </fieldset>
  );
}
