import type { Cell, ICodeCellModel } from '@jupyterlab/cells';
import { type Notebook, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { CellBars } from './bars';
import { TAG, concerns } from './cell';
import { Refusal } from '../refusal';
import { type IChoice, METADATA, readChoice } from './choice';
import { sessionOf, stop } from './kernel';
import { lastLine } from './progress';
import { type Event, NOT_RUN, type State, fact, next } from './state';

/** What attach() and its sessions raise. */
const LOST = 'AttachError';
const GONE: Kernel.Status[] = ['restarting', 'autorestarting', 'terminating', 'dead'];

/** One notebook's session, and the cell that attaches to it. Its state is what the kernel and that cell's end say. */
export class Attachment {
  constructor(private readonly panel: NotebookPanel) {
    NotebookActions.executionScheduled.connect(this.onBegan, this);
    NotebookActions.executed.connect(this.onEnded, this);
    panel.sessionContext.kernelChanged.connect(this.onKernel, this);
    panel.sessionContext.statusChanged.connect(this.onStatus, this);
    panel.disposed.connect(() => Signal.clearData(this));
    this.bars = new CellBars(panel);
    void panel.context.ready.then(() => this.onKernel());
  }

  readonly changed = new Signal<this, void>(this);

  get state(): State {
    return this.isConfiguring ? { kind: 'configuring' } : this.known;
  }

  /** Whether it can be attached now, or attached otherwise. */
  get isFree(): boolean {
    return ['detached', 'connected', 'error'].includes(this.state.kind);
  }

  /** How the notebook was attached last. */
  get choice(): IChoice {
    return readChoice(this.panel.model?.getMetadata(METADATA));
  }

  /** By what name the server extension knows the session; empty while it does not. */
  get session(): string {
    return this.known.kind === 'connected' ? this.name : '';
  }

  /** The last line that the cell which attaches has written. */
  get progress(): string {
    return this.cell && !this.cell.isDisposed ? lastLine(this.cell.outputs.toJSON()) : '';
  }

  /** Asks how to attach; meanwhile the state is configuring. */
  async configure<T>(ask: () => Promise<T>): Promise<T> {
    this.isConfiguring = true;
    this.changed.emit();
    try {
      return await ask();
    } finally {
      this.isConfiguring = false;
      this.changed.emit();
    }
  }

  /**
   * Keeps a choice, writes the cell that attaches, and runs it.
   *
   * @throws Refusal - the notebook has no kernel.
   */
  async attach(choice: IChoice, source: string): Promise<void> {
    await this.panel.sessionContext.ready; // what is run before, JupyterLab drops as if it had ended well
    if (!this.kernel) {
      throw new Refusal('The notebook has no kernel.', 'Choose one, and attach then.');
    }
    this.panel.model!.setMetadata(METADATA, { ...choice });
    const index = this.write(source);
    await this.panel.content.scrollToItem(index);
    if (this.known.kind === 'connected') {
      await this.detach(); // attach() would give the session that is there, as it is
    }
    this.panel.content.activate(); // so that Shift+Enter runs the next cell
    await NotebookActions.runCells(this.panel.content, [this.panel.content.widgets[index]!], this.panel.sessionContext);
  }

  async detach(): Promise<void> {
    const kernel = this.kernel;
    if (kernel) {
      this.take({ kind: 'stopping' });
      await stop(kernel).finally(() => this.ask());
    }
  }

  /** Interrupts what attaches. */
  async cancel(): Promise<void> {
    await this.kernel?.interrupt();
  }

  private get kernel(): Kernel.IKernelConnection | null {
    return this.panel.sessionContext.session?.kernel ?? null;
  }

  /** Writes the cell that attaches, above the active one where there is none yet; returns its index. */
  private write(source: string): number {
    const { content } = this.panel;
    const notebook = this.panel.model!.sharedModel;
    const index = content.widgets.findIndex(isOurs);
    if (index >= 0) {
      notebook.getCell(index).setSource(source);
      return index;
    }
    const above = Math.max(content.activeCellIndex, 0);
    notebook.insertCell(above, { cell_type: 'code', source, metadata: { tags: [TAG], trusted: true } });
    return above;
  }

  private onBegan(_: unknown, { notebook, cell }: { notebook: Notebook; cell: Cell }): void {
    if (notebook === this.panel.content && isOurs(cell)) {
      this.cell = cell.model as ICodeCellModel;
      this.take({ kind: 'began', at: Date.now() });
    }
  }

  private onEnded(_: unknown, ended: IEnded): void {
    if (ended.notebook !== this.panel.content || ended.cell.model.type !== 'code') {
      return;
    }
    if (isOurs(ended.cell)) {
      this.take({ kind: 'ended', error: ended.success ? null : raised(ended.error) });
    }
    if (!isOurs(ended.cell) && ended.error?.errorName === LOST) {
      // The session itself is not stopped: it would say that all is well.
      this.take({ kind: 'lost', fact: fact(raised(ended.error)) });
    } else if (concerns(ended.cell.model.sharedModel.source)) {
      void this.ask();
    }
  }

  /** A notebook that has nothing to do with Spark asks nothing of its kernel. */
  private onKernel(): void {
    this.take({ kind: 'gone' });
    if (this.kernel && this.panel.content.widgets.some(cell => concerns(cell.model.sharedModel.source))) {
      this.take({ kind: 'asked' });
      void this.ask();
    }
  }

  private onStatus(_: unknown, status: Kernel.Status): void {
    if (GONE.includes(status)) {
      this.take({ kind: 'gone' });
    } else if (status === 'idle' && this.known.kind === 'connecting' && this.cell?.isDisposed) {
      this.take({ kind: 'ended', error: raised(null) }); // of a cell that was deleted meanwhile, nobody tells the end
      void this.ask();
    }
  }

  /** Asks the kernel how it is. One question at a time is enough: it answers after what it does now. */
  private async ask(): Promise<void> {
    const kernel = this.kernel;
    if (!kernel || this.asked === kernel) {
      return;
    }
    this.asked = kernel;
    const none = { attached: false, name: '' };
    const { attached, name } = await sessionOf(kernel).catch(() => none); // cancelled, as the kernel went
    this.asked = null;
    if (kernel === this.kernel) {
      this.name = name;
      if (name) {
        this.bars.listen(kernel);
      }
      this.take({ kind: 'told', attached });
    }
  }

  private take(event: Event): void {
    if (['began', 'gone', 'stopping'].includes(event.kind)) {
      this.name = ''; // of the session before
    }
    this.known = next(this.known, event);
    this.changed.emit();
  }

  private known: State = { kind: 'detached' };
  private name = '';
  private readonly bars: CellBars;
  private isConfiguring = false;
  private asked: Kernel.IKernelConnection | null = null;
  private cell: ICodeCellModel | null = null;
}

interface IEnded {
  notebook: Notebook;
  cell: Cell;
  success: boolean;
  error?: { errorName?: string; errorValue?: string } | null;
}

/** What a cell raised; one that was not run, as one before it failed, has not raised anything. */
function raised(error: IEnded['error']): { name: string; value: string } {
  return { name: error?.errorName ?? NOT_RUN, value: error?.errorValue ?? '' };
}

function isOurs(cell: Cell): boolean {
  const tags = cell.model.getMetadata('tags');
  return cell.model.type === 'code' && Array.isArray(tags) && tags.includes(TAG);
}
