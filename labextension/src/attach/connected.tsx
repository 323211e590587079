import { Poll } from '@lumino/polling';
import { useEffect, useState } from 'react';
import type { Api } from '../api';
import type { IExecutors } from '../types';
import { executors } from '../words';

/** In the strip of a notebook that is attached: the way to Spark's pages, and how many executors there are. */
export function Connected(props: { api: Api; session: string; isShown: () => boolean }): JSX.Element {
  const { api, session, isShown } = props;
  const [found, setFound] = useState<IExecutors | null>(null);
  useEffect(() => {
    const poll = new Poll({
      factory: async () => setFound(await api.executors(session)),
      frequency: { interval: 10_000, backoff: true, max: 60_000 },
      name: 'astrok8s:executors',
      standby: () => !isShown() || document.hidden
    });
    return () => poll.dispose();
  }, [session]);
  return (
    <>
      <a href={api.sessionPages(session)} target="_blank" rel="noopener noreferrer">
        Spark UI
      </a>
      <span className="astrok8s-line">{found && executors(found)}</span>
    </>
  );
}
