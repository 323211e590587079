import { ReactWidget, ToolbarButtonComponent, UseSignal } from '@jupyterlab/ui-components';
import { clusterIcon } from '../icon';
import type { Attachment } from './attachment';
import { words } from './state';

/** In a notebook's toolbar: how the notebook is attached, in words. */
export class SparkButton extends ReactWidget {
  /**
   * @param attachment - the notebook's.
   * @param press - is called with this button when it is pressed.
   */
  constructor(
    private readonly attachment: Attachment,
    private readonly press: (button: HTMLElement) => void
  ) {
    super();
    this.addClass('astrok8s-spark');
  }

  protected override render(): JSX.Element {
    return (
      <UseSignal signal={this.attachment.changed}>
        {() => <Spark attachment={this.attachment} press={() => this.press(this.node)} />}
      </UseSignal>
    );
  }
}

function Spark(props: { attachment: Attachment; press: () => void }): JSX.Element {
  const { state } = props.attachment;
  const label = `Spark: ${words(state)}`;
  return (
    <>
      <ToolbarButtonComponent
        className={`astrok8s-mod-${state.kind}`}
        icon={clusterIcon}
        label={label}
        tooltip={state.kind === 'connected' ? 'Detach, or attach otherwise' : 'Attach this notebook to a cluster'}
        onClick={props.press}
      />
      <span className="astrok8s-unseen" role="status">
        {label}
      </span>
    </>
  );
}
