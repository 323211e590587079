import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, MainAreaWidget, showDialog } from '@jupyterlab/apputils';
import type { ReactWidget } from '@jupyterlab/ui-components';
import { Api } from './api';
import { ClusterForm } from './form';
import { clusterIcon } from './icon';
import { LogView } from './log';
import type { ClustersModel } from './model';
import { ClustersPanel } from './panel';
import type { IActions } from './rows';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyterlab-astrok8s:panel',
  description: "The user's clusters in the left panel.",
  autoStart: true,
  optional: [ILayoutRestorer, ICommandPalette],
  activate: (app: JupyterFrontEnd, restorer: ILayoutRestorer | null, palette: ICommandPalette | null) => {
    const api = new Api(app.serviceManager.serverSettings);
    const open = (content: ReactWidget) => {
      const widget = new MainAreaWidget({ content });
      widget.id = `astrok8s-${++opened}`;
      app.shell.add(widget, 'main');
      app.shell.activateById(widget.id);
      return widget;
    };
    const create = () => app.commands.execute('astrok8s:create');
    const panel = new ClustersPanel(api, () => void create(), model => actions(api, model, open));
    app.shell.add(panel, 'left', { rank: 300, type: 'Clusters' });
    restorer?.add(panel, panel.id);
    app.commands.addCommand('astrok8s:show', {
      label: 'Show Clusters',
      icon: clusterIcon,
      execute: () => app.shell.activateById(panel.id)
    });
    app.commands.addCommand('astrok8s:create', {
      label: 'New Cluster',
      icon: clusterIcon,
      execute: () =>
        panel.act(async () => {
          const schema = await api.options();
          const widget = open(
            new ClusterForm(api, schema, () => {
              widget.dispose();
              app.shell.activateById(panel.id);
            })
          );
        })
    });
    ['astrok8s:show', 'astrok8s:create'].forEach(command => palette?.addItem({ command, category: 'astrok8s' }));
  }
};

let opened = 0;

/** What rows of the panel do. */
function actions(api: Api, model: ClustersModel, open: (content: ReactWidget) => void): IActions {
  return {
    destroy: name =>
      void model.act(async () => {
        const answer = await showDialog({
          title: `Destroy ${name}?`,
          body: 'The cluster goes with all that runs on it. Buckets and the history of its sessions stay.',
          buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Destroy' })],
          defaultButton: 0
        });
        if (answer.button.accept) {
          await api.destroy(name);
        }
      }),
    cancel: operation => void model.act(() => api.cancel(operation.id)),
    forget: operation => void model.act(() => api.forget(operation.id)),
    again: ({ name, operation }) =>
      void model.act(async () => {
        if (operation?.verb === 'destroy') {
          await api.destroy(name);
        } else {
          await api.declare(declaration(name, operation?.arguments ?? {}));
        }
        if (operation) {
          await api.forget(operation.id);
        }
      }),
    showLog: operation => open(new LogView(api, operation))
  };
}

/** What was declared, from the arguments of the operation that was to make it. */
function declaration(name: string, said: Record<string, unknown>): object {
  const { size, cloud: _cloud, ...options } = said;
  return { name, ...(size ? { size } : {}), options };
}

export default plugin;
