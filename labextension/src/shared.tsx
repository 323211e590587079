import { addIcon, closeIcon } from '@jupyterlab/ui-components';
import { Action } from './action';
import type { IAccess } from './types';

/** The clusters of others that the user was granted access to. */
export function Shared(props: {
  accesses: IAccess[];
  onAdd: () => void;
  onForget: (access: IAccess) => void;
}): JSX.Element {
  return (
    <>
      <div className="astrok8s-header">
        <h2>Shared with me</h2>
        <Action icon={addIcon} title="Add an access that I was granted" onClick={props.onAdd} />
      </div>
      <ul className="astrok8s-list" aria-label="Shared with me">
        {props.accesses.map(access => (
          <li key={access.id} className="astrok8s-row" aria-label={`${access.cluster}, shared`}>
            <span className={`astrok8s-dot astrok8s-mod-${isOver(access) ? 'bad' : 'good'}`} aria-hidden="true" />
            <span className="astrok8s-name">{access.cluster}</span>
            <span className="astrok8s-actions">
              <Action
                icon={closeIcon}
                title={`Forget the access to ${access.cluster}`}
                onClick={() => props.onForget(access)}
              />
            </span>
            <span className="astrok8s-detail">
              {access.namespace} · {isOver(access) ? 'ended' : 'until'} {new Date(access.expires).toLocaleString()}
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Whether an access has ended; one that was used lately has not. */
export function isOver(access: IAccess): boolean {
  return Date.parse(access.expires) <= Date.now();
}
