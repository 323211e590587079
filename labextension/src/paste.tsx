import { Dialog, showDialog } from '@jupyterlab/apputils';
import { ReactWidget } from '@jupyterlab/ui-components';
import { useState } from 'react';

interface IAsked {
  title: string;
  /** What the text is, and where one has it from. */
  hint: string;
  label: string;
  okLabel: string;
}

/** Asks for the text of a file: pasted, dropped, or chosen. Null if there is none. */
export async function askText(asked: IAsked): Promise<string | null> {
  const result = await showDialog({
    title: asked.title,
    body: new Form(asked),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: asked.okLabel })],
    focusNodeSelector: 'textarea'
  });
  return (result.button.accept && result.value?.trim()) || null;
}

class Form extends ReactWidget implements Dialog.IBodyWidget<string> {
  constructor(private readonly asked: IAsked) {
    super();
    this.addClass('astrok8s-paste');
  }

  getValue(): string {
    return this.text;
  }

  protected override render(): JSX.Element {
    return <Fields {...this.asked} onChange={text => (this.text = text)} />;
  }

  private text = '';
}

function Fields(props: IAsked & { onChange: (text: string) => void }): JSX.Element {
  const [text, setText] = useState('');
  const change = (changed: string) => {
    setText(changed);
    props.onChange(changed);
  };
  const read = async (files: FileList | null) => {
    if (files?.length) {
      change(await files[0]!.text());
    }
  };
  return (
    <div className="astrok8s-field">
      <div className="astrok8s-hint" id="astrok8s-paste-hint">
        {props.hint}
      </div>
      <label htmlFor="astrok8s-paste">{props.label}</label>
      <textarea
        id="astrok8s-paste"
        aria-describedby="astrok8s-paste-hint"
        rows={8}
        spellCheck={false}
        value={text}
        onChange={event => change(event.target.value)}
        onDragOver={event => event.preventDefault()}
        onDrop={event => {
          if (event.dataTransfer.files.length) {
            event.preventDefault();
            void read(event.dataTransfer.files);
          }
        }}
      />
      <input type="file" aria-label="A file of it" onChange={event => void read(event.target.files)} />
    </div>
  );
}
