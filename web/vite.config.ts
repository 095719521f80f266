import { defineConfig } from "vite";

// `npm run dev` serves the page with hot reload beside a running `make run`.
export default defineConfig({
  build: {
    target: "es2022", chunkSizeWarningLimit: 600,
    rolldownOptions: { input: ["index.html", "optimize.html", "pictures.html"] },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/ws": { target: "ws://127.0.0.1:8000", ws: true } } },
});
