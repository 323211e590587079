import { ReactWidget, fileIcon } from '@jupyterlab/ui-components';
import { useEffect, useState } from 'react';
import { Alert } from './alert';
import type { Api } from './api';
import { Refusal } from './refusal';
import type { IError, IOperation } from './types';

/** What an operation printed, in a tab of the main area. */
export class LogView extends ReactWidget {
  constructor(
    private readonly api: Api,
    private readonly operation: IOperation
  ) {
    super();
    this.addClass('astrok8s-log');
    this.title.label = `Log of ${operation.cluster}`;
    this.title.icon = fileIcon;
  }

  protected override render(): JSX.Element {
    return <Log api={this.api} id={this.operation.id} />;
  }
}

function Log(props: { api: Api; id: string }): JSX.Element {
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState<IError | null>(null);
  useEffect(() => {
    props.api.log(props.id).then(setText, reason => setError(Refusal.of(reason)));
  }, [props.id]);
  if (error) {
    return <Alert error={error} />;
  }
  // It can be scrolled by the keyboard.
  return <pre tabIndex={0}>{text === '' ? 'It printed nothing.' : text}</pre>;
}
