import {
  closeIcon,
  deleteIcon,
  editIcon,
  fileIcon,
  historyIcon,
  refreshIcon,
  stopIcon,
  userIcon
} from '@jupyterlab/ui-components';
import { useEffect, useState } from 'react';
import { Action } from './action';
import { Alert } from './alert';
import { clockIcon } from './icon';
import type { IRow } from './model';
import type { ICluster, IOperation } from './types';
import { age, condition, doing, elapsed, workers } from './words';

/** What can be done from a row. */
export interface IActions {
  resize: (cluster: ICluster) => void;
  /** Says when it ends by itself, and lets it live longer. */
  extend: (cluster: ICluster) => void;
  /** Shows who has access. */
  share: (cluster: ICluster) => void;
  showHistory: (cluster: ICluster) => void;
  destroy: (name: string) => void;
  cancel: (operation: IOperation) => void;
  forget: (operation: IOperation) => void;
  /** Does again what did not come to its end. */
  again: (operation: IOperation) => void;
  /** Asks what a cluster is to be like that is made, and nobody here knows as what. */
  declare: (name: string) => void;
  showLog: (operation: IOperation) => void;
}

export function Row(props: { row: IRow; actions: IActions }): JSX.Element {
  const { row, actions } = props;
  const { cluster, operation } = row;
  const isRunning = operation?.state === 'running';
  const state = cluster && condition(cluster.status);
  const kind = isRunning ? 'busy' : operation ? 'bad' : state!.kind;
  return (
    <li className="astrok8s-row" aria-label={row.name}>
      <span className={`astrok8s-dot astrok8s-mod-${kind}`} aria-hidden="true" />
      <span className="astrok8s-name">{row.name}</span>
      <span className="astrok8s-actions">
        {isRunning && <Action icon={stopIcon} title={`Cancel ${row.name}`} onClick={() => actions.cancel(operation)} />}
        {!isRunning && operation && (
          <Action icon={refreshIcon} title={`Try ${row.name} again`} onClick={() => actions.again(operation)} />
        )}
        {!operation && cluster?.status === 'CREATE_IN_PROGRESS' && (
          <Action icon={editIcon} title={`Declare ${row.name}, to finish it`} onClick={() => actions.declare(row.name)} />
        )}
        {!isRunning && cluster && state!.kind === 'good' && (
          <>
            <Action icon={editIcon} title={`Resize ${row.name}`} onClick={() => actions.resize(cluster)} />
            <Action icon={clockIcon} title={`When ${row.name} ends`} onClick={() => actions.extend(cluster)} />
            <Action icon={userIcon} title={`Access to ${row.name}`} onClick={() => actions.share(cluster)} />
            <Action icon={historyIcon} title={`History of ${row.name}`} onClick={() => actions.showHistory(cluster)} />
          </>
        )}
        {!isRunning && cluster && (
          <Action icon={deleteIcon} title={`Destroy ${row.name}`} onClick={() => actions.destroy(row.name)} />
        )}
      </span>
      {cluster && (
        <span className="astrok8s-detail" title={`${cluster.status}, made ${new Date(cluster.created).toLocaleString()}`}>
          {state!.text} · {workers(cluster.size)} · {age(cluster.created, Date.now())}
        </span>
      )}
      {operation && (isRunning ? <Progress operation={operation} row={row} /> : <End row={row} actions={actions} />)}
    </li>
  );
}

/** What is done now, for how long already. */
function Progress(props: { operation: IOperation; row: IRow }): JSX.Element {
  const { operation, row } = props;
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const step = operation.steps.at(-1);
  return (
    <>
      <span className="astrok8s-detail">
        {doing(operation, row.cluster)} · {elapsed(operation.started, now)}
      </span>
      <progress aria-label={doing(operation, row.cluster)} />
      {/* Told by screen readers; the time, which changes each second, is not. */}
      <span className="astrok8s-detail astrok8s-step" role="status">
        {step?.title ?? 'It begins'}
      </span>
    </>
  );
}

/** Why an operation did not come to its end. */
function End(props: { row: IRow; actions: IActions }): JSX.Element {
  const { row, actions } = props;
  const operation = row.operation!;
  return (
    <div className="astrok8s-end">
      <span className="astrok8s-detail">{doing(operation, row.cluster)}</span>
      <span className="astrok8s-actions">
        <Action icon={fileIcon} title={`Log of ${row.name}`} onClick={() => actions.showLog(operation)} />
        <Action icon={closeIcon} title={`Dismiss what is told of ${row.name}`} onClick={() => actions.forget(operation)} />
      </span>
      {operation.error && <Alert error={operation.error} />}
    </div>
  );
}
