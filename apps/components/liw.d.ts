/** What the scripts of the pages share, for the type checker; nothing of this reaches a browser. */

interface Unit {
  text: string;
  /** "text" is of the person's own words; the others were added by the model. */
  kind: "text" | "merged" | "special" | "prefix" | "expansion" | "whole";
}

/** One pair, explained at one level: words or word pieces. */
interface View {
  query: Unit[];
  document: Unit[];
  /** One row a query unit, one number a document unit. */
  similarity: number[][];
  /** The document units that each query unit matches best. */
  best: number[][];
  /** What each query unit adds to the score. */
  contribution: number[];
  /** Of a long document, of which one passage is shown: the best matches, the passage of the first, and its tokens. */
  match?: string[];
  home?: number[];
  tokens?: number;
  /** The text where its units begin and end; joined it is the whole text. */
  segments: { text: string; units: number[] }[];
}

interface Figure {
  data: any[];
  layout: Record<string, any>;
}

type Child = Node | string | null | undefined | false | Child[];
type Address = Record<string, string | number | boolean | null | undefined>;
type Ask = Record<string, (argument?: object) => Promise<any>>;

/** What a page's function is given. */
interface Page {
  element: HTMLElement;
  /** `value` is only ever written by Python. */
  props: { value?: any };
  /** Functions of Python, by their names. */
  ask: Ask;
  /** Trigger an event of the component. */
  send: (event: string, data?: object) => void;
  watch: (name: "value", run: () => void) => void;
  /** The answer of the page's `start`. */
  setup: any;
}

interface Saved {
  name: string;
  template: string;
  search: string;
  theme: "light" | "dark";
  value: any;
  answers: [string, any][];
}

interface Liw {
  pages: Record<string, (page: Page) => void>;
  parts: Record<string, (...options: any[]) => any>;
  /** The figures of the lessons. */
  demos: Record<string, (options: { place: HTMLElement; lesson: any; ask: Ask; setup: any }) => any>;
  el: (tag: string, options?: Record<string, any>, ...children: Child[]) => any;
  saved: Saved | null;
  answers: Map<string, any>;
  page: { name: string; element: HTMLElement; props: { value?: any }; template: string; complete: () => Promise<void> };
  address: { read: () => Record<string, string>; write: (state: Address, push?: boolean) => void };
  href: (page: string, state?: Record<string, string>) => string;
  root: () => string;
  /** The styles and scripts of this page, for a saved copy. */
  sources: () => Promise<{ style: string; script: string }>;
  /** The text of plotly.js. */
  plotly: () => Promise<string>;
  fixed: (value: number, digits?: number) => string;
  given: (value: any, words: (value: any) => string) => string;
  signed: (value: number, digits?: number) => string;
  count: (value: number) => string;
  isSite: () => boolean;
  questions: (value: number) => string;
  milliseconds: (value: number) => string;
  bytes: (value: number) => string;
  duration: (seconds: number) => string;
  whole: (text: string | undefined) => number | null;
  stage: (status: string, step: string, empty: string) => string;
  colour: (role: string) => string;
  added: (unit: Unit) => boolean;
  roving: (group: HTMLElement, selector: string) => void;
  save: (name: string, blob: Blob) => void;
  sent: (file: File) => Promise<{ name: string; data: string }>;
  theme: () => "light" | "dark";
  setTheme: (name: "light" | "dark") => void;
  startTheme: () => void;
  themeButton: (button: HTMLElement) => void;
  start: (name: string, element: HTMLElement, props: any, server: any, trigger: any, watch: any) => Promise<void>;
  reopen: () => void;
  problem: (place: HTMLElement, text: string) => void;
  about: (setup: any) => HTMLElement;
  savePage: () => Promise<string>;
  savePicture: () => Promise<string>;
  saveDrawing: () => Promise<string>;
  drawing: (node: HTMLElement) => Promise<{ svg: string; width: number; height: number }>;
  picture: (node: HTMLElement) => Promise<Blob>;
  scores: {
    match: (view: View, row: number) => string;
    held: (best: number[][], contribution: number[], units: number) => number[];
    running: (contribution: number[], rows: number[]) => number[];
    byKind: (view: Pick<View, "query" | "contribution">) => Map<Unit["kind"], [number, number]>;
    differences: (one: number[], two: number[]) => [number, number][];
    shade: (similarity: number) => number;
    moved: (key: string, x: number, y: number, columns: number, rows: number) => [number, number] | null;
  };
  plotting: { path: string; packed?: string; dark: Record<string, string> };
  coloured: (text: string, dark: boolean) => string;
  untitled: (figure: Figure) => Figure;
  withColumn: (figure: Figure, position: number, colour: string) => Figure;
  withMark: (figure: Figure, name: string, colour: string) => Figure;
}

declare const LIW: Liw;

interface Window {
  LIW: Liw;
  Plotly?: any;
  gradio_config?: { root?: string };
}
