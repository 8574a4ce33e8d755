/** What the job runs: a module or a model, uploaded here or before. */

import { useRef, useState, type ChangeEvent } from "react";
import { listArtifacts, listModels, registerModel, uploadArtifact } from "../../api/endpoints";
import { newIdempotencyKey } from "../../api/http";
import { asProblem, errorAt, type Problem } from "../../api/problem";
import { formatBytes } from "../../format/units";
import { useLoaded } from "../../live/hooks";
import { Field } from "../../ui/Field";
import { Panel, ProblemNotice } from "../../ui/Panel";
import type { FieldsProps } from "./SubmitPage";

export function CodeFields({ form, set, errors }: FieldsProps) {
  return (
    <Panel title="What runs">
      <div className="fields">
        <Field label="Job name" error={errorAt(errors, "name")}>
          {(ids) => (
            <input
              {...ids}
              value={form.name}
              onChange={(event) => set("name", event.target.value)}
              placeholder="for you to find it again"
            />
          )}
        </Field>
        <fieldset className="choice">
          <legend>Kind</legend>
          {(["wasm", "onnx"] as const).map((kind) => (
            <label key={kind}>
              <input
                type="radio"
                name="kind"
                checked={form.kind === kind}
                onChange={() => {
                  set("kind", kind);
                  set("input", kind === "onnx" ? "json" : "none");
                }}
              />
              {kind === "wasm" ? "WASM module" : "ONNX model"}
            </label>
          ))}
        </fieldset>
        {form.kind === "wasm" ? (
          <ModuleField form={form} set={set} errors={errors} />
        ) : (
          <ModelField form={form} set={set} errors={errors} />
        )}
      </div>
    </Panel>
  );
}

function ModuleField({ form, set, errors }: FieldsProps) {
  const artifacts = useLoaded("artifacts", listArtifacts);
  const known = artifacts.data?.items.find((one) => one.digest === form.module);
  return (
    <>
      <Upload
        label="Upload a module"
        accept=".wasm,application/wasm"
        onFile={async (file) => {
          const artifact = await uploadArtifact(file);
          set("module", artifact.digest);
          artifacts.refresh();
        }}
      />
      <Field
        label="Module"
        className="field-wide"
        error={errorAt(errors, "wasm/module") ?? errorAt(errors, "wasm")}
        hint={known ? `${known.name || "unnamed"}, ${formatBytes(known.size_bytes)}` : undefined}
      >
        {(ids) => (
          <input
            {...ids}
            className="mono"
            list="artifacts"
            value={form.module}
            onChange={(event) => set("module", event.target.value)}
            placeholder="sha256:… of an uploaded one"
            spellCheck={false}
          />
        )}
      </Field>
      <datalist id="artifacts">
        {artifacts.data?.items.map((one) => (
          <option key={one.digest} value={one.digest}>
            {one.name} {formatBytes(one.size_bytes)}
          </option>
        ))}
      </datalist>
    </>
  );
}

function ModelField({ form, set, errors }: FieldsProps) {
  const models = useLoaded("models", listModels);
  const chosen = models.data?.items.find((one) => one.id === form.model);
  const shape = (tensor: { name: string; dtype: string; shape: unknown[] }) =>
    `${tensor.name}: ${tensor.dtype}[${tensor.shape.map((size) => size ?? "?").join(", ")}]`;
  return (
    <>
      <Upload
        label="Upload a model"
        accept=".onnx"
        onFile={async (file) => {
          const artifact = await uploadArtifact(file);
          const name = file.name.replace(/\.onnx$/, "");
          const model = await registerModel(name, artifact.digest, newIdempotencyKey());
          set("model", model.id);
          models.refresh();
        }}
      />
      <Field
        label="Model"
        className="field-wide"
        error={errorAt(errors, "onnx")}
        hint={
          chosen &&
          `takes ${chosen.inputs.map(shape).join("; ")} · gives ${chosen.outputs.map(shape).join("; ")}`
        }
      >
        {(ids) => (
          <select
            {...ids}
            value={form.model}
            onChange={(event) => set("model", event.target.value)}
          >
            <option value="">
              {models.data?.items.length === 0 ? "none yet: upload one" : "choose…"}
            </option>
            {models.data?.items.map((one) => (
              <option key={one.id} value={one.id}>
                {one.name}
              </option>
            ))}
          </select>
        )}
      </Field>
    </>
  );
}

function Upload({
  label,
  accept,
  onFile,
}: {
  label: string;
  accept: string;
  onFile: (file: File) => Promise<void>;
}) {
  const [busy, setBusy] = useState<string | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const upload = async (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.[0];
    if (!file) return;
    setBusy(file.name);
    setProblem(null);
    try {
      await onFile(file);
    } catch (error) {
      setProblem(asProblem(error));
    } finally {
      setBusy(null);
      // The same file again must be a change again.
      if (input.current) input.current.value = "";
    }
  };
  return (
    <div className="upload">
      <label className={`button ${busy ? "button-busy" : ""}`}>
        {busy ? `Uploading ${busy}…` : label}
        <input
          ref={input}
          type="file"
          accept={accept}
          className="visually-hidden"
          disabled={busy !== null}
          onChange={(event) => void upload(event)}
        />
      </label>
      {problem && <ProblemNotice problem={problem} />}
    </div>
  );
}
