import { Button, ReactWidget, UseSignal, addIcon } from '@jupyterlab/ui-components';
import { Alert } from './alert';
import type { Api } from './api';
import { clusterIcon } from './icon';
import { ClustersModel } from './model';
import { Row, type IActions } from './rows';

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
        <Button minimal small title="New cluster" aria-label="New cluster" onClick={props.create}>
          <addIcon.react tag="span" />
        </Button>
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
    </>
  );
}
