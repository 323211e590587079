/** How far the jobs of a cell are, as its kernel tells (astrok8s/_cells.py). */
export interface IJobs {
  /** The id of the request that has the cell executed. */
  cell: string;
  /** The stage that runs, of so many. */
  stage: number;
  stages: number;
  /** How many tasks are done, of so many. */
  done: number;
  tasks: number;
  seconds: number;
  /** Whether the cell has ended. */
  over: boolean;
}

/** That in words: what was left undone is said of a cell that has ended, too. */
export function line({ stage, stages, done, tasks, seconds, over }: IJobs): string {
  if (!over) {
    return `stage ${stage} of ${stages}, ${done} of ${count(tasks)}`;
  }
  return `${Math.round(seconds)} s, ${done < tasks ? `${done} of ` : ''}${count(tasks)}`;
}

function count(tasks: number): string {
  return `${tasks} ${tasks === 1 ? 'task' : 'tasks'}`;
}
