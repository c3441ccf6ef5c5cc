import { defineConfig } from "vite";

// File names without hashes: the server revalidates each file by its ETag, and a build that changes
// nothing changes no file.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../static/app",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: true,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      input: { main: "src/main.tsx" },
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
      },
    },
  },
});
