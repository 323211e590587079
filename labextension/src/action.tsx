import { Button, type LabIcon } from '@jupyterlab/ui-components';

/** A button that is an icon. */
export function Action(props: { icon: LabIcon; title: string; onClick: () => void }): JSX.Element {
  return (
    <Button minimal small title={props.title} aria-label={props.title} onClick={props.onClick}>
      <props.icon.react tag="span" />
    </Button>
  );
}
