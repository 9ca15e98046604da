/** The controller was asked to stop: the step stays begun, and goes on after the next start. */
export class Parked extends Error {
  constructor() {
    super('parked until the controller starts again');
  }
}
