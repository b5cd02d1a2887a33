//! Whether EventBridge sends an event to a rule: its patterns as https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html has them, without guessing.

type Json = { [key: string]: any };

/** Whether a rule's pattern matches an event. What is not understood here is an error. */
export function matches(pattern: Json, event: unknown): boolean {
  return Object.entries(pattern).every(([key, wanted]) => {
    if (key === '$or') return (wanted as Json[]).some((one) => matches(one, event));
    if (Array.isArray(wanted)) return holds(wanted, values(event, key));
    // Of objects in an array one must match.
    const inner = values(event, key);
    return inner.length === 0 ? matches(wanted, undefined) : inner.some((one) => matches(wanted, one));
  });
}

function values(event: unknown, key: string): unknown[] {
  return [event].flat().flatMap((one) => {
    const value = (one as Json | undefined)?.[key];
    return value === undefined ? [] : [value].flat();
  });
}

function holds(wanted: unknown[], found: unknown[]): boolean {
  return wanted.some((one) => {
    if (typeof one !== 'object' || one === null) return found.includes(one);
    const [operator, operand] = Object.entries(one)[0]!;
    switch (operator) {
      case 'exists':
        return operand === found.length > 0;
      case 'anything-but':
        return found.some((value) => ![operand].flat().includes(value));
      case 'numeric': {
        const [comparison, limit, ...rest] = operand as [string, number, ...unknown[]];
        if (comparison !== '>' || rest.length > 0) break;
        return found.some((value) => typeof value === 'number' && value > limit);
      }
    }
    throw new Error(`a pattern ${JSON.stringify(one)} is not understood here`);
  });
}
