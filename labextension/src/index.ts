import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget } from '@jupyterlab/apputils';
import type { ReactWidget } from '@jupyterlab/ui-components';
import { actions } from './actions';
import { Api } from './api';
import { attach } from './attach/plugin';
import { ClusterForm } from './form';
import { clusterIcon } from './icon';
import { ClustersPanel } from './panel';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyterlab-astrok8s:panel',
  description: "The user's clusters in the left panel.",
  autoStart: true,
  optional: [ILabShell, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    lab: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ) => {
    const api = new Api(app.serviceManager.serverSettings);
    const open = (content: ReactWidget) => {
      const widget = new MainAreaWidget({ content });
      widget.id = `astrok8s-${++opened}`;
      app.shell.add(widget, lab ? 'main' : 'right'); // the main area of Notebook has the notebook, and room for it alone
      app.shell.activateById(widget.id);
      return widget;
    };
    const create = (name?: string) => void app.commands.execute('astrok8s:create', name ? { name } : {});
    const panel = new ClustersPanel(api, () => create(), model => actions(api, model, open, create));
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
      execute: args =>
        panel.model.act(async () => {
          const schema = await api.options();
          const widget = open(
            new ClusterForm(api, schema, args.name ? { name: String(args.name) } : {}, () => {
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

export default [plugin, attach];
