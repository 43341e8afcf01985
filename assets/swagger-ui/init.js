// Starts Swagger UI on this server's own document, in the page's theme. Nothing is asked of any other host.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => root.classList.toggle("dark-mode", root.dataset.theme === "dark" || (root.dataset.theme === "auto" && dark.matches));
dark.addEventListener("change", paint);
paint();

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  deepLinking: true,
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  // The page has its own title and introduction.
  plugins: [() => ({ wrapComponents: { info: () => () => null } })],
});
