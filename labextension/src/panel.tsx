import { ReactWidget, UseSignal, addIcon } from '@jupyterlab/ui-components';
import { Action } from './action';
import { Alert } from './alert';
import type { Api } from './api';
import { clusterIcon, keyIcon } from './icon';
import { ClustersModel } from './model';
import { askText } from './paste';
import { Row, type IActions } from './rows';
import { Shared } from './shared';

/** The left panel. */
export class ClustersPanel extends ReactWidget {
  /**
   * @param api - the server's routes.
   * @param create - opens the form of a new cluster.
   * @param actions - what rows can do; they get the model.
   */
  constructor(
    api: Api,
    private readonly create: () => void,
    actions: (model: ClustersModel) => IActions
  ) {
    super();
    this.id = 'astrok8s-clusters';
    this.title.icon = clusterIcon;
    this.title.caption = 'Clusters';
    this.addClass('astrok8s-panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Clusters');
    this.model = new ClustersModel(api, () => this.isVisible);
    this.actions = actions(this.model);
  }

  override dispose(): void {
    this.model.dispose();
    super.dispose();
  }

  protected override onAfterShow(): void {
    this.model.start();
  }

  protected override onActivateRequest(): void {
    this.node.querySelector('button')?.focus();
  }

  protected override render(): JSX.Element {
    return (
      <UseSignal signal={this.model.changed}>
        {() => <Clusters model={this.model} create={this.create} actions={this.actions} />}
      </UseSignal>
    );
  }

  readonly model: ClustersModel;
  private readonly actions: IActions;
}

function Clusters(props: { model: ClustersModel; create: () => void; actions: IActions }): JSX.Element {
  const { rows, error } = props.model;
  return (
    <>
      <div className="astrok8s-header">
        <h2>Clusters</h2>
        <span className="astrok8s-actions">
          <Action icon={addIcon} title="New cluster" onClick={props.create} />
          <Action icon={keyIcon} title="Credential for the cloud" onClick={() => void authenticate(props.model)} />
        </span>
      </div>
      {error && <Alert error={error} />}
      {!rows && !error && <p className="astrok8s-empty">Asking the cloud …</p>}
      {rows?.length === 0 && (
        <div className="astrok8s-empty">
          <p>No clusters yet.</p>
          <button className="jp-mod-styled jp-mod-accept" onClick={props.create}>
            Create a cluster
          </button>
        </div>
      )}
      <ul className="astrok8s-list" aria-label="Clusters">
        {rows?.map(row => <Row key={row.name} row={row} actions={props.actions} />)}
      </ul>
      <Shared
        accesses={props.model.accesses}
        onAdd={() => void accept(props.model)}
        onForget={({ id }) => void props.model.changeAccesses(() => props.model.api.forgetAccess(id))}
      />
    </>
  );
}

async function authenticate(model: ClustersModel): Promise<void> {
  const clouds = await askText({
    title: 'Credential for the cloud',
    hint:
      "Make an application credential in the cloud's dashboard, an unrestricted one: clusters get credentials of their " +
      'own from it, with which they end. The dashboard offers a clouds.yaml then. It stays on the server, in a file ' +
      'that only you read.',
    label: 'clouds.yaml',
    okLabel: 'Use it'
  });
  if (clouds) {
    await model.authenticate(clouds);
  }
}

async function accept(model: ClustersModel): Promise<void> {
  const kubeconfig = await askText({
    title: 'Use a cluster shared with me',
    hint: 'Whoever granted you access to a cluster has a file for you, a kubeconfig.',
    label: 'Kubeconfig',
    okLabel: 'Add it'
  });
  if (kubeconfig) {
    await model.changeAccesses(() => model.api.accept(kubeconfig));
  }
}
