import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import { useEffect, useState } from 'react';
import { elapsed } from '../words';
import type { Attachment } from './attachment';

/** Below a notebook's toolbar while it is being attached, and after that has failed: how it goes, and what can be done. */
export class SparkStrip extends ReactWidget {
  /**
   * @param attachment - the notebook's.
   * @param again - asks anew how to attach.
   */
  constructor(
    private readonly attachment: Attachment,
    private readonly again: () => void
  ) {
    super();
    this.addClass('astrok8s-strip');
    this.hide();
    attachment.changed.connect(() => this.setHidden(!['connecting', 'error'].includes(attachment.state.kind)), this);
  }

  protected override render(): JSX.Element {
    return (
      <UseSignal signal={this.attachment.changed}>
        {() => <Strip attachment={this.attachment} again={this.again} />}
      </UseSignal>
    );
  }
}

function Strip(props: { attachment: Attachment; again: () => void }): JSX.Element | null {
  const { attachment, again } = props;
  const { state } = attachment;
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
