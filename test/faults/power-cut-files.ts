/**
 * A whole disk in memory behind the `Files` interface, which knows what of it was synced; a power cut may come before
 * any call takes effect.
 */
import type { DiskSpace, Files, FileStat } from "../../src/lib/files.ts";
import { type Binding, MemoryFile, MemoryFolder } from "./memory-disk.ts";

const GIB = 1024 ** 3;

/** A rename in flight: the old name cannot be gone while the new one is not there. Ids are those of the bindings. */
export interface Move {
  readonly from: { readonly folder: MemoryFolder; readonly name: string; readonly id: number };
  readonly to: { readonly folder: MemoryFolder; readonly name: string; readonly id: number };
}

interface Descriptor {
  readonly file: MemoryFile;
  readonly canWrite: boolean;
  readonly appends: boolean;
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** Every call takes effect one turn of the event loop after it was made, in the order of the calls. */
export class PowerCutFiles implements Files {
  readonly root: MemoryFolder;
  readonly moves: Move[] = [];
  /**
   * Called before a call takes effect: whoever was told something up to now was told it before this call had done
   * anything.
   */
  beforeEffect: (call: keyof Files) => void = () => undefined;
  readonly #descriptors = new Map<number, Descriptor>();
  readonly #ids = new Map<MemoryFile | MemoryFolder, number>();
  #nextFd = 1_000;
  #nextId = 1;

  constructor(root: MemoryFolder = new MemoryFolder()) {
    this.root = root;
  }

  async open(path: string, flags: Parameters<Files["open"]>[1]): Promise<number> {
    await this.#turn("open");
    const { folder, name } = this.#parent(path);
    const found = folder.get(name);
    if (found instanceof MemoryFolder) throw systemError("EISDIR", path);
    if (found !== null && flags.startsWith("wx")) throw systemError("EEXIST", path);
    if (found === null && flags.startsWith("r")) throw systemError("ENOENT", path);
    const file = found ?? new MemoryFile();
    if (found === null) folder.bind(name, this.#binding(file));
    else if (flags === "w") file.truncate(0);
    const fd = this.#nextFd++;
    this.#descriptors.set(fd, { file, canWrite: flags !== "r", appends: flags === "a+" });
    return fd;
  }

  async close(fd: number): Promise<void> {
    await this.#turn("close");
    this.#descriptor(fd);
    this.#descriptors.delete(fd);
  }

  async read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    await this.#turn("read");
    return this.#descriptor(fd).file.read(buffer, offset, length, position);
  }

  async write(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    const bytes = buffer.slice(offset, offset + length);
    await this.#turn("write");
    const { file, appends } = this.#writable(fd);
    file.write(bytes, appends ? file.size : position);
    return bytes.length;
  }

  async truncate(fd: number, length: number): Promise<void> {
    await this.#turn("truncate");
    this.#writable(fd).file.truncate(length);
  }

  async datasync(fd: number): Promise<void> {
    const end = this.#descriptor(fd).file.beginSync();
    await this.#turn("datasync");
    end();
  }

  /** What FaultyFiles tells when it fails a sync: the pages now look clean to every later one. */
  failSync(fd: number): void {
    this.#descriptor(fd).file.failSync();
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#turn("rename");
    const source = this.#parent(from);
    const target = this.#parent(to);
    const node = source.folder.get(source.name);
    if (node === null) throw systemError("ENOENT", from);
    if (node instanceof MemoryFolder || target.folder.get(target.name) instanceof MemoryFolder)
      throw systemError("EISDIR", to);
    if (source.folder === target.folder && source.name === target.name) return;
    const made = this.#binding(node);
    const gone = this.#binding(null);
    target.folder.bind(target.name, made);
    source.folder.bind(source.name, gone);
    this.moves.push({ from: { ...source, id: gone.id }, to: { ...target, id: made.id } });
  }

  async unlink(path: string): Promise<void> {
    await this.#turn("unlink");
    const { folder, name } = this.#parent(path);
    const node = folder.get(name);
    if (node === null) throw systemError("ENOENT", path);
    if (node instanceof MemoryFolder) throw systemError("EISDIR", path);
    folder.bind(name, this.#binding(null));
  }

  async mkdir(path: string): Promise<void> {
    await this.#turn("mkdir");
    let folder = this.root;
    for (const name of partsOf(path)) {
      const found = folder.get(name) ?? new MemoryFolder();
      if (found instanceof MemoryFile) throw systemError("ENOTDIR", path);
      if (folder.get(name) === null) folder.bind(name, this.#binding(found));
      folder = found;
    }
  }

  async syncFolder(path: string): Promise<void> {
    const end = this.#folder(path).beginSync();
    await this.#turn("syncFolder");
    end();
  }

  async list(path: string): Promise<string[]> {
    await this.#turn("list");
    const folder = this.#find(path);
    if (folder instanceof MemoryFile) throw systemError("ENOTDIR", path);
    return folder === null ? [] : [...folder.names.keys()].filter((name) => folder.get(name) !== null).sort();
  }

  async stat(path: string): Promise<FileStat | null> {
    await this.#turn("stat");
    const found = this.#find(path);
    if (found === null) return null;
    const id = String(this.#idOf(found));
    return found instanceof MemoryFile
      ? { size: found.size, mtimeMs: 0, isFile: true, id }
      : { size: 0, mtimeMs: 0, isFile: false, id };
  }

  async space(): Promise<DiskSpace> {
    await this.#turn("space");
    return { freeBytes: 50 * GIB, totalBytes: 100 * GIB };
  }

  async #turn(call: keyof Files): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.beforeEffect(call);
  }

  #idOf(node: MemoryFile | MemoryFolder): number {
    const id = this.#ids.get(node) ?? this.#nextId++;
    this.#ids.set(node, id);
    return id;
  }

  #binding(node: Binding["node"]): Binding {
    return { id: this.#nextId++, node };
  }

  #descriptor(fd: number): Descriptor {
    const found = this.#descriptors.get(fd);
    if (found === undefined) throw systemError("EBADF", String(fd));
    return found;
  }

  #writable(fd: number): Descriptor {
    const found = this.#descriptor(fd);
    if (!found.canWrite) throw systemError("EBADF", String(fd));
    return found;
  }

  #find(path: string): MemoryFile | MemoryFolder | null {
    let node: MemoryFile | MemoryFolder | null = this.root;
    for (const name of partsOf(path)) node = node instanceof MemoryFolder ? node.get(name) : null;
    return node;
  }

  #folder(path: string): MemoryFolder {
    const found = this.#find(path);
    if (found instanceof MemoryFolder) return found;
    throw systemError(found === null ? "ENOENT" : "ENOTDIR", path);
  }

  #parent(path: string): { readonly folder: MemoryFolder; readonly name: string } {
    const parts = partsOf(path);
    return { folder: this.#folder(parts.slice(0, -1).join("/")), name: parts.at(-1) ?? "" };
  }
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
