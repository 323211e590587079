import type { Cell, CodeCell } from '@jupyterlab/cells';
import { type Notebook, NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel } from '@jupyterlab/services';
import { ReactWidget } from '@jupyterlab/ui-components';
import { Signal } from '@lumino/signaling';
import { type IJobs, line } from './jobs';

const TARGET = 'astrok8s';

/** Below the cells of a notebook: how far the jobs of each are. They are no outputs, and nothing of them is saved. */
export class CellBars {
  constructor(private readonly panel: NotebookPanel) {
    NotebookActions.executionScheduled.connect(this.onBegan, this);
    panel.disposed.connect(() => Signal.clearData(this));
  }

  /** Has a kernel tell; its session must be one of astrok8s. */
  listen(kernel: Kernel.IKernelConnection): void {
    if ((this.kernel === kernel && this.comm && !this.comm.isDisposed) || !kernel.handleComms) {
      return;
    }
    this.kernel = kernel;
    this.comm = kernel.createComm(TARGET);
    this.comm.onMsg = message => this.show(message.content.data as unknown as IJobs);
    void this.comm.open();
  }

  private show(jobs: IJobs): void {
    const cell = this.panel.content.widgets.find(widget => request(widget) === jobs.cell);
    if (!cell) {
      return; // deleted meanwhile
    }
    let bar = this.bars.get(cell);
    if (!bar || bar.isDisposed) {
      bar = new CellBar();
      this.bars.set(cell, bar);
      below(cell, bar);
    }
    bar.take(jobs);
  }

  private onBegan(_: unknown, { notebook, cell }: { notebook: Notebook; cell: Cell }): void {
    if (notebook === this.panel.content) {
      this.bars.get(cell)?.dispose();
    }
  }

  private kernel: Kernel.IKernelConnection | null = null;
  private comm: Kernel.IComm | null = null;
  private readonly bars = new WeakMap<Cell, CellBar>();
}

function below(cell: Cell, bar: CellBar): void {
  // A PanelLayout; of its package the packages of JupyterLab have copies each, whose types differ.
  (cell.layout as unknown as { addWidget: (widget: unknown) => void }).addWidget(bar);
}

/** The id of the request that a cell was executed by last. */
function request(cell: Cell): string | undefined {
  // A cell that was not executed has none, whatever its type says.
  return cell.model.type === 'code' ? (cell as CodeCell).outputArea.future?.msg.header.msg_id : undefined;
}

class CellBar extends ReactWidget {
  constructor() {
    super();
    this.addClass('astrok8s-jobs');
  }

  take(jobs: IJobs): void {
    this.jobs = jobs;
    this.update();
  }

  protected override render(): JSX.Element | null {
    const { jobs } = this;
    return (
      jobs && (
        <>
          {!jobs.over && <progress aria-label="Tasks of this cell" max={jobs.tasks} value={jobs.done} />}
          {/* Told by screen readers once it has ended, not at each step. */}
          <span role={jobs.over ? 'status' : undefined}>{line(jobs)}</span>
        </>
      )
    );
  }

  private jobs: IJobs | null = null;
}
