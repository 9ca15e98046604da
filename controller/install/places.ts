/** Where an installed controller lies on its machine. */
export const USER = 'fleet-controller';
export const CONFIG = '/etc/fleet/controller.yaml';
/** Its data, and its user's home. */
export const DATA = '/var/lib/fleet-controller';
/** The other folder that it may write: for `fleet backup`. */
export const BACKUPS = '/var/backups/fleet';
/** Its program, root's: the controller cannot change what it is. Each in a folder by its content, and `current`. */
export const PROGRAMS = '/usr/local/lib/fleet-controller';
/** For people on this machine. */
export const COMMAND = '/usr/local/bin/fleet';
export const UNIT_FILE = '/etc/systemd/system/fleet-controller.service';
