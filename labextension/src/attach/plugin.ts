import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, IToolbarWidgetRegistry, showDialog } from '@jupyterlab/apputils';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { Menu } from '@lumino/widgets';
import { Api } from '../api';
import { clusterIcon } from '../icon';
import { Refusal } from '../refusal';
import { isOver } from '../shared';
import type { IError } from '../types';
import { condition } from '../words';
import { Attachment } from './attachment';
import { properties } from './bundles';
import { SparkButton } from './button';
import { type IWhere, cellSource } from './cell';
import { possible } from './choice';
import { ask } from './dialog';
import { SparkStrip } from './strip';

const ATTACH = 'astrok8s:attach';
const DETACH = 'astrok8s:detach';

/** A button in the toolbar of each notebook, which attaches it to a cluster. It asks nothing before it is pressed. */
export const attach: JupyterFrontEndPlugin<void> = {
  id: 'jupyterlab-astrok8s:attach',
  description: 'Attaches notebooks to clusters.',
  autoStart: true,
  requires: [INotebookTracker, IToolbarWidgetRegistry],
  optional: [ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    toolbars: IToolbarWidgetRegistry,
    palette: ICommandPalette | null
  ) => {
    const api = new Api(app.serviceManager.serverSettings);
    const attachments = new WeakMap<NotebookPanel, Attachment>();
    const of = (panel: NotebookPanel) => attachments.get(panel) ?? begin(panel);
    const begin = (panel: NotebookPanel) => {
      const attachment = new Attachment(panel);
      attachments.set(panel, attachment);
      panel.contentHeader.addWidget(new SparkStrip(attachment, api, () => void configure(api, attachment)));
      return attachment;
    };
    // Of the notebook that the menu belongs to, else of the current one.
    const meant = ({ panel }: { panel?: unknown }) => {
      const found = panel ? tracker.find(({ id }) => id === panel) : tracker.currentWidget;
      return found && of(found);
    };
    app.commands.addCommand(ATTACH, {
      label: args => (isConnected(meant(args)) ? 'Attach Again…' : 'Attach to a Cluster…'),
      icon: clusterIcon,
      isEnabled: args => !!meant(args)?.isFree,
      execute: args => configure(api, meant(args)!)
    });
    app.commands.addCommand(DETACH, {
      label: 'Detach',
      isEnabled: args => isConnected(meant(args)),
      execute: args => meant(args)!.detach().catch(tell)
    });
    [ATTACH, DETACH].forEach(command => palette?.addItem({ command, category: 'astrok8s' }));
    const menu = new Menu({ commands: app.commands });
    const press = (panel: NotebookPanel, button: HTMLElement) => {
      const attachment = of(panel);
      if (isConnected(attachment)) {
        menu.clearItems();
        [DETACH, ATTACH].forEach(command => menu.addItem({ command, args: { panel: panel.id } }));
        const { left, bottom } = button.getBoundingClientRect();
        menu.open(left, bottom);
      } else if (attachment.isFree) {
        void configure(api, attachment);
      }
    };
    toolbars.addFactory<NotebookPanel>(
      'Notebook',
      'astrok8s',
      panel => new SparkButton(of(panel), button => press(panel, button))
    );
  }
};

function isConnected(attachment: Attachment | null | undefined): boolean {
  return attachment?.state.kind === 'connected';
}

/** Asks how a notebook is to be attached, and attaches it. */
async function configure(api: Api, attachment: Attachment): Promise<void> {
  const before = attachment.state;
  const error = before.kind === 'error' ? { fact: before.fact, remedy: '' } : null;
  try {
    const chosen = await attachment.configure(async () => {
      const [{ bundles, cloud }, all] = await Promise.all([api.bundles(), api.accesses()]);
      const accesses = all.filter(access => !isOver(access));
      const clusters = await api.clusters().catch(reason => {
        if (!accesses.length) {
          throw reason; // whoever has clusters of others alone may have no cloud
        }
        return [];
      });
      const ready = clusters.filter(cluster => condition(cluster.status).kind === 'good').map(cluster => cluster.name);
      const choice = possible(attachment.choice, ready, accesses);
      if (!choice) {
        throw new Refusal('No cluster is ready.', 'Create one in the panel of clusters, or wait for it.');
      }
      const answer = await ask({ clusters: ready, accesses, bundles, error }, choice);
      const access = accesses.find(({ id }) => id === answer?.access);
      const where: IWhere = access ? { kubeconfig: access.file } : cloud === null ? {} : { cloud };
      return answer && { answer, source: cellSource(answer, properties(bundles, answer), where) };
    });
    if (chosen) {
      await attachment.attach(chosen.answer, chosen.source);
    }
  } catch (reason) {
    await tell(reason);
  }
}

async function tell(reason: unknown): Promise<void> {
  const error: IError = reason instanceof Refusal ? reason : { fact: String(reason), remedy: '' };
  await showDialog({ title: error.fact, body: error.remedy, buttons: [Dialog.okButton()] });
}
