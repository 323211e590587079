/** How a notebook is attached, as far as its kernel has told. */
export type State =
  | { kind: 'detached' }
  /** The kernel is there, and has not said yet. */
  | { kind: 'asking' }
  | { kind: 'configuring' }
  | { kind: 'connecting'; since: number }
  | { kind: 'connected' }
  | { kind: 'detaching' }
  | { kind: 'error'; fact: string };

export type Event =
  /** A kernel that may have a session is asked. */
  | { kind: 'asked' }
  /** It has told whether it has one. */
  | { kind: 'told'; attached: boolean }
  /** The cell that attaches begins. */
  | { kind: 'began'; at: number }
  /** It has ended. */
  | { kind: 'ended'; error: { name: string; value: string } | null }
  /** A later cell has raised that the way to the session is lost. */
  | { kind: 'lost'; fact: string }
  /** The session is being stopped. */
  | { kind: 'stopping' }
  /** There is no kernel, or it is another one than before. */
  | { kind: 'gone' };

/** What stands for an error where the cell was not run at all. */
export const NOT_RUN = 'NotRun';

/** What a state becomes by what happens. */
export function next(state: State, event: Event): State {
  switch (event.kind) {
    case 'gone':
      return { kind: 'detached' };
    case 'began':
      return { kind: 'connecting', since: event.at };
    case 'ended':
      return state.kind === 'connecting' ? end(event.error) : state; // else the kernel went first
    case 'lost':
      return state.kind === 'connected' ? { kind: 'error', fact: event.fact } : state;
    case 'stopping':
      return { kind: 'detaching' };
    case 'asked':
      return state.kind === 'detached' ? { kind: 'asking' } : state;
    case 'told':
      return told(state, event.attached);
  }
}

function end(error: { name: string; value: string } | null): State {
  if (!error) {
    return { kind: 'connected' };
  }
  if (['KeyboardInterrupt', NOT_RUN].includes(error.name)) {
    return { kind: 'detached' };
  }
  return { kind: 'error', fact: fact(error) };
}

/** The first line of what was raised. */
export function fact(error: { name: string; value: string }): string {
  return error.value.split('\n')[0]!.trim() || error.name;
}

function told(state: State, attached: boolean): State {
  if (state.kind === 'connecting') {
    return state; // it was asked before the cell began
  }
  if (attached) {
    return { kind: 'connected' };
  }
  return state.kind === 'error' ? state : { kind: 'detached' };
}

/** A state in words. */
export function words(state: State): string {
  switch (state.kind) {
    case 'detached':
      return 'Not attached';
    case 'asking':
      return 'Asking the kernel';
    default:
      return state.kind[0]!.toUpperCase() + state.kind.slice(1);
  }
}
