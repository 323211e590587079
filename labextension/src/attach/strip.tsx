import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { useEffect, useState } from 'react';
import type { Api } from '../api';
import { elapsed } from '../words';
import type { Attachment } from './attachment';
import { Connected } from './connected';

/** Below a notebook's toolbar, unless it is detached: how it is attached or why it is not, and what can be done. */
export class SparkStrip extends ReactWidget {
  /**
   * @param attachment - the notebook's.
   * @param api - the routes of the server extension.
   * @param again - asks anew how to attach.
   */
  constructor(
    private readonly attachment: Attachment,
    private readonly api: Api,
    private readonly again: () => void
  ) {
    super();
    this.addClass('astrok8s-strip');
    this.hide();
    attachment.changed.connect(() => this.setHidden(!hasNews(attachment)), this);
  }

  protected override render(): JSX.Element {
    return (
      <UseSignal signal={this.attachment.changed}>
        {() => <Strip attachment={this.attachment} api={this.api} again={this.again} isShown={() => this.isVisible} />}
      </UseSignal>
    );
  }
}

function hasNews({ state, session }: Attachment): boolean {
  return ['connecting', 'error'].includes(state.kind) || session !== '';
}

function Strip(props: { attachment: Attachment; api: Api; again: () => void; isShown: () => boolean }): JSX.Element | null {
  const { attachment, api, again, isShown } = props;
  const { state, session } = attachment;
  if (session) {
    return <Connected api={api} session={session} isShown={isShown} />;
  }
  if (state.kind === 'connecting') {
    return <Connecting attachment={attachment} since={state.since} />;
  }
  return state.kind === 'error' ? (
    <>
      <span className="astrok8s-line" role="alert" title={state.fact}>
        {state.fact}
      </span>
      <button className="jp-mod-styled" onClick={again}>
        Attach again…
      </button>
    </>
  ) : null;
}

function Connecting(props: { attachment: Attachment; since: number }): JSX.Element {
  const { attachment, since } = props;
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <>
      <span className="astrok8s-time">{elapsed(new Date(since).toISOString(), now)}</span>
      <progress aria-label="Connecting" />
      {/* Told by screen readers; the time, which changes each second, is not. */}
      <span className="astrok8s-line" role="status">
        {attachment.progress}
      </span>
      <button className="jp-mod-styled" onClick={() => void attachment.cancel()}>
        Cancel
      </button>
    </>
  );
}
