import { defineConfig } from "vitest/config";

// Where `npm run dev` finds a running platform; the built files are served by the API itself.
const platform = process.env.SOUK_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  server: { host: "127.0.0.1", proxy: { "/v1": { target: platform } } },
  build: {
    outDir: "dist",
    sourcemap: false,
    // The colours use light-dark(), so these are the oldest browsers that can be served.
    target: ["chrome123", "firefox120", "safari17.5"],
    // The content security policy allows neither data: URLs nor inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: { environment: "node", include: ["tests/**/*.test.{ts,tsx}"] },
});
