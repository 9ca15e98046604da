// Brings the database to what this version needs. Safe to run again.
import { open } from './visitors.js';

const database = open(process.argv[2]);
database.exec(
  'create table if not exists visitors (id integer primary key, seen text not null, port integer not null)',
);
console.log('visitors: the table is there');
database.close();
