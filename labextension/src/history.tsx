import { ReactWidget, historyIcon } from '@jupyterlab/ui-components';
import { useEffect, useState } from 'react';
import { Alert } from './alert';
import type { Api } from './api';
import { Refusal } from './refusal';
import type { IApplication, IError } from './types';
import { lasted } from './words';

/** The sessions of all clusters, in a tab of the main area. */
export class HistoryView extends ReactWidget {
  constructor(
    private readonly api: Api,
    private readonly cluster: string
  ) {
    super();
    this.addClass('astrok8s-page');
    this.title.label = `History (${cluster})`;
    this.title.icon = historyIcon;
  }

  protected override render(): JSX.Element {
    return <History api={this.api} cluster={this.cluster} />;
  }
}

function History({ api, cluster }: { api: Api; cluster: string }): JSX.Element {
  const [found, setFound] = useState<IApplication[] | null>(null);
  const [error, setError] = useState<IError | null>(null);
  const ask = () => {
    setError(null);
    api.history(cluster).then(setFound, reason => setError(Refusal.of(reason)));
  };
  useEffect(ask, [cluster]);
  return (
    <>
      <h2>Sessions of all your clusters</h2>
      <p>
        The history server of {cluster} tells them; those of clusters that are gone are among them.{' '}
        <button className="jp-mod-styled" onClick={ask}>
          Ask again
        </button>
      </p>
      {error && <Alert error={error} />}
      {!found && !error && <p role="status">Asking the cluster …</p>}
      {found?.length === 0 && <p>There is no session yet.</p>}
      {!!found?.length && (
        <table>
          <thead>
            <tr>
              {['Session', 'User', 'Began', 'Lasted', 'Ended'].map(title => (
                <th scope="col" key={title}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {found.map(({ id, name, user, start, seconds, completed }) => (
              <tr key={id}>
                <td title={id}>
                  {/* Of one that goes on, the history server has a name, and no pages yet. */}
                  {completed ? (
                    <a href={api.historyPage(cluster, id)} target="_blank" rel="noopener noreferrer">
                      {name}
                    </a>
                  ) : (
                    name
                  )}
                </td>
                <td>{user}</td>
                <td>{new Date(start).toLocaleString()}</td>
                <td>{lasted(seconds)}</td>
                <td>{completed ? 'yes' : 'no'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
