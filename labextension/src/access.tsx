import { Dialog, showDialog } from '@jupyterlab/apputils';
import { ReactWidget, UseSignal, userIcon } from '@jupyterlab/ui-components';
import { useEffect, useState } from 'react';
import { Alert } from './alert';
import type { ClustersModel } from './model';
import { Refusal } from './refusal';
import type { IError, IGrant } from './types';

/** Who has access to a cluster, in a tab of the main area. */
export class AccessView extends ReactWidget {
  constructor(
    private readonly model: ClustersModel,
    private readonly cluster: string
  ) {
    super();
    this.addClass('astrok8s-page');
    this.title.label = `Access to ${cluster}`;
    this.title.icon = userIcon;
  }

  protected override render(): JSX.Element {
    return <UseSignal signal={this.model.changed}>{() => <Access model={this.model} cluster={this.cluster} />}</UseSignal>;
  }
}

function Access({ model, cluster }: { model: ClustersModel; cluster: string }): JSX.Element {
  const [grants, setGrants] = useState<IGrant[] | null>(null);
  const [error, setError] = useState<IError | null>(null);
  const granted = model.succeeded('grant', cluster);
  const revoked = model.succeeded('revoke', cluster);
  const isThere = grants?.some(grant => grant.user === granted?.arguments.user);
  const act = (action: () => Promise<unknown>) => action().then(() => setError(null), reason => setError(Refusal.of(reason)));
  // Again, when an access has been given or taken.
  useEffect(() => void act(() => model.api.grants(cluster).then(setGrants)), [cluster, granted?.id, revoked?.id]);
  const revoke = async (user: string) => {
    const answer = await showDialog({
      title: `Take the access of ${user}?`,
      body: 'The namespace of the user goes, with all that runs in it.',
      buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Take it' })],
      defaultButton: 0
    });
    if (answer.button.accept) {
      await act(() => model.api.revoke(cluster, user));
    }
  };
  return (
    <>
      <h2>Who has access to {cluster}</h2>
      {error && <Alert error={error} />}
      <GrantForm onGrant={(user, until) => act(() => model.api.grant(cluster, user, until))} />
      <div role="status">{isThere && <File path={String(granted!.arguments.file)} />}</div>
      {!grants && !error && <p>Asking the cluster …</p>}
      {grants?.length === 0 && <p>Nobody but you.</p>}
      {!!grants?.length && (
        <table>
          <thead>
            <tr>
              <th scope="col">User</th>
              <th scope="col">Since</th>
              <th scope="col">Until</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {grants.map(grant => (
              <tr key={grant.user}>
                <td>{grant.user}</td>
                <td>{new Date(grant.since).toLocaleString()}</td>
                <td>{grant.until ? new Date(grant.until).toLocaleString() : 'a day unused'}</td>
                <td>
                  <button
                    className="jp-mod-styled"
                    aria-label={`Take the access of ${grant.user}`}
                    onClick={() => void revoke(grant.user)}
                  >
                    Take it
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function GrantForm(props: { onGrant: (user: string, until: string) => Promise<void> }): JSX.Element {
  const [user, setUser] = useState('');
  const [until, setUntil] = useState('');
  return (
    <form
      className="astrok8s-line"
      onSubmit={event => {
        event.preventDefault();
        // The field has no time zone: it is that of the browser.
        void props.onGrant(user, until && new Date(until).toISOString());
      }}
    >
      <label>
        User <input required value={user} onChange={event => setUser(event.target.value)} />
      </label>
      <label>
        Until <input type="datetime-local" value={until} onChange={event => setUntil(event.target.value)} />
      </label>
      <button type="submit" className="jp-mod-styled jp-mod-accept">
        Give access
      </button>
    </form>
  );
}

function File({ path }: { path: string }): JSX.Element {
  return (
    <p>
      <code>{path.split('/').at(-1)}</code> among your files has the last access that was given. Whoever has that file has the
      access: <code>astrok8s.attach(kubeconfig=…)</code>.
    </p>
  );
}
