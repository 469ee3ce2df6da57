import { defineConfig } from "vite";

// What it makes is committed and embedded in the binary, so it must come out the same everywhere: one script, one
// style sheet, no source maps, nothing written into the page that the Content-Security-Policy would refuse.
export default defineConfig({
    base: "./",
    build: {
        target: "es2022",
        outDir: "dist",
        emptyOutDir: true,
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        reportCompressedSize: false,
    },
    // `LOADWEAVER=http://127.0.0.1:9090 npm run dev` shows the sources in front of a running balancer.
    server: {
        proxy: Object.fromEntries(
            ["/api", "/status"].map((path) => [
                path,
                { target: process.env.LOADWEAVER ?? "http://127.0.0.1:9090", changeOrigin: true },
            ]),
        ),
    },
});
