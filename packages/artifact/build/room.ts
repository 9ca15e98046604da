/** The folder in which a build's commands work, and how trees come into it and out again. */
export interface Room {
  /** Where the controller makes trees, and reads them. */
  own: string;
  /** Where commands see them. */
  seen: string;
  /** The tree of this name is the build user's from now on. To be called while only the controller can change what is in it. */
  give(name: string): Promise<void>;
  /** What commands have made of it is the controller's own, before anything in it is read. */
  takeBack(name: string): Promise<void>;
  remove(): Promise<void>;
}
