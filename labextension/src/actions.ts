import { Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';
import type { ReactWidget } from '@jupyterlab/ui-components';
import { AccessView } from './access';
import type { Api } from './api';
import { HistoryView } from './history';
import { LogView } from './log';
import type { ClustersModel } from './model';
import type { IActions } from './rows';
import type { ICluster, IOperation } from './types';

/**
 * What rows of the panel do.
 *
 * @param open - shows something in a tab of the main area.
 * @param declare - opens the form of a cluster of that name.
 */
export function actions(
  api: Api,
  model: ClustersModel,
  open: (content: ReactWidget) => void,
  declare: (name: string) => void
): IActions {
  return {
    resize: cluster => void model.act(() => resize(api, cluster)),
    extend: cluster => void model.act(() => extend(api, cluster)),
    share: cluster => open(new AccessView(model, cluster.name)),
    showHistory: cluster => open(new HistoryView(api, cluster.name)),
    destroy: name => void model.act(() => destroy(api, name)),
    cancel: operation => void model.act(() => api.cancel(operation.id)),
    forget: operation => void model.act(() => api.forget(operation.id)),
    again: operation => void model.act(() => again(api, operation)),
    declare,
    showLog: operation => open(new LogView(api, operation))
  };
}

async function resize(api: Api, cluster: ICluster): Promise<void> {
  const answer = await InputDialog.getNumber({
    title: `Resize ${cluster.name}`,
    label: 'Workers. Fewer ones are drained first; what runs there starts again elsewhere.',
    value: cluster.size,
    okLabel: 'Resize'
  });
  if (answer.button.accept && answer.value !== null && answer.value !== cluster.size) {
    await api.resize(cluster.name, answer.value);
  }
}

async function extend(api: Api, cluster: ICluster): Promise<void> {
  const { life, end } = await api.life(cluster.name);
  if (end === null) {
    await showDialog({ title: `When ${cluster.name} ends`, body: `It ${life}.`, buttons: [Dialog.okButton()] });
    return;
  }
  const answer = await InputDialog.getText({
    title: `When ${cluster.name} ends`,
    label: `It is ${life}. Let it live longer by:`,
    text: '4h',
    okLabel: 'Extend'
  });
  if (answer.button.accept && answer.value) {
    await api.extend(cluster.name, answer.value);
  }
}

async function destroy(api: Api, name: string): Promise<void> {
  const answer = await showDialog({
    title: `Destroy ${name}?`,
    body: 'The cluster goes with all that runs on it. Buckets and the history of its sessions stay.',
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: 'Destroy' })],
    defaultButton: 0
  });
  if (answer.button.accept) {
    await api.destroy(name);
  }
}

/** Does again what did not come to its end. */
async function again(api: Api, operation: IOperation): Promise<void> {
  const { cluster: name, arguments: said } = operation;
  switch (operation.verb) {
    case 'destroy':
      await api.destroy(name);
      break;
    case 'resize':
      await api.resize(name, Number(said.size));
      break;
    case 'grant':
      await api.grant(name, String(said.user), String(said.until ?? ''));
      break;
    case 'revoke':
      await api.revoke(name, String(said.user));
      break;
    case 'provision':
      await api.declare(declaration(name, said));
  }
  await api.forget(operation.id);
}

/** What was declared, from the arguments of the operation that was to make it. */
function declaration(name: string, said: Record<string, unknown>): object {
  const { size, cloud: _cloud, ...options } = said;
  return { name, ...(size ? { size } : {}), options };
}
